"""Fork locked CPython workers on request: the program `python -I -S python_zygote.py …`.

Started without any variable of the agent's environment, like the zygote of Lua. What tools
commonly import is loaded here once, so a worker has it at no cost; the rest of the standard
library stays readable. Where neither Landlock nor a root of our own hides the machine's
files, there are no Python workers.

Arguments: control fd, memory bytes, layers to leave out, workspace bytes, workspace files,
packages to offer (comma-separated), import paths.
Source: spec/sandbox.md 3, 6 "Topology".
"""

import gc
import importlib
import importlib.util
import os
import platform
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# `-I -S` gave us the standard library alone; ours come from where the parent says.
sys.path.extend(sys.argv[7:])

from micro_agi.sandbox.mailbox import WorkerEnd
from micro_agi.sandbox.worker import (
    landlock,
    minimal_root,
    namespaces,
    python_filter,
    python_lock,
    python_worker,
    seccomp,
)
from micro_agi.sandbox.worker.forking import Layers, continue_inside, forked, serve_forks
from micro_agi.sandbox.worker.syscalls import Machine, this_machine

STANDARD_PATHS = [path for path in sys.path if os.path.isdir(path) and path not in sys.argv[7:]]
PRELOADED = """
    abc array ast asyncio base64 binascii bisect bz2 calendar cmath codecs collections
    configparser contextlib copy csv ctypes dataclasses datetime decimal difflib email
    encodings.idna enum fractions functools graphlib gzip hashlib heapq hmac html io
    html.parser ipaddress itertools json keyword locale lzma math numbers operator pathlib
    pprint random re secrets shlex sqlite3 statistics string struct tempfile textwrap time
    timeit tomllib traceback types typing unicodedata urllib.parse uuid weakref
    xml.etree.ElementTree zipfile zlib zoneinfo
"""
ZONES = "/usr/share/zoneinfo"
NEEDED = {"numpy": ("numpy", "numpy.libs"), "pandas": ("pandas", "dateutil", "pytz", "six.py")}
"""What has to be readable for a package; each in the directory the package is in."""
OPTIONAL = {"pandas": ("pyarrow", "numexpr", "bottleneck", "numba")}
"""What a package would use if it were there: workers cannot read it, so it is not there."""
SLACK_BYTES = 64 << 20
PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the parent asked for."""

    control: int
    memory_bytes: int
    without: frozenset[str]
    workspace_bytes: int
    workspace_files: int
    packages: tuple[str, ...]


def main() -> None:
    order = _order(sys.argv)
    control = socket.socket(fileno=order.control)
    null = os.open(os.devnull, os.O_RDWR)
    _preload(order.packages)
    # From here on imports are the guests', and leave nothing behind.
    sys.dont_write_bytecode = True
    readable = _readable(order.packages)
    # What is ours was imported; guests find the standard library and what they asked for.
    sys.path[:] = [*STANDARD_PATHS, *_homes(order.packages)]
    layers = Layers()
    machine = this_machine()
    if machine is None:
        layers.tell("seccomp", f"no table of system calls for {platform.machine()}")
        control.send(layers.as_bytes())
        return
    if "seccomp" in order.without or not seccomp.available():
        left_out = "seccomp" in order.without
        layers.tell("seccomp", "left out" if left_out else "not available here")
        control.send(layers.as_bytes())
        return
    lock = _confine(order, machine, readable, layers)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    control.send(layers.as_bytes())
    serve_forks(
        control, lambda channel, mailbox: forked(lambda: _work(channel, mailbox, null, lock))
    )


def _order(words: Sequence[str]) -> Order:
    return Order(
        control=int(words[1]),
        memory_bytes=int(words[2]),
        without=frozenset(words[3].split(",")),
        workspace_bytes=int(words[4]),
        workspace_files=int(words[5]),
        packages=tuple(name for name in words[6].split(",") if name),
    )


def _preload(packages: Sequence[str]) -> None:
    for hidden in (name for package in packages for name in OPTIONAL.get(package, ())):
        sys.modules[hidden] = None  # type: ignore[assignment]  # Python's own mark for absent
    for name in (*PRELOADED.split(), *packages):
        try:
            importlib.import_module(name)
        except ImportError:
            # A Python built without an optional part: a tool that wants it is told so.
            continue


def _homes(packages: Sequence[str]) -> list[str]:
    homes: dict[str, None] = {}
    for name in packages:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            homes[str(Path(spec.origin).parent.parent)] = None
    return list(homes)


def _readable(packages: Sequence[str]) -> tuple[str, ...]:
    paths = [*STANDARD_PATHS, ZONES]
    for home in _homes(packages):
        paths += [str(Path(home, part)) for name in packages for part in NEEDED.get(name, ())]
    real = sorted({os.path.realpath(path) for path in paths if os.path.exists(path)})
    named = sorted({path for path in paths if os.path.exists(path)})
    return tuple(dict.fromkeys([*named, *real]))


def _confine(
    order: Order, machine: Machine, readable: tuple[str, ...], layers: Layers
) -> python_lock.PythonLock:
    layers.tell("seccomp")
    layers.tell("limits")
    abi = 0 if "landlock" in order.without else landlock.version()
    left_out = "left out" if "landlock" in order.without else "the kernel has none"
    layers.tell("landlock", "" if abi else left_out)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    own_root = _enter_namespaces(order, machine, readable, layers)
    if not own_root:
        layers.tell("workspace", "needs namespaces; tools cannot write files")
    return python_lock.PythonLock(
        machine=machine,
        filter_code=python_filter.program(machine),
        landlock_abi=abi,
        address_bytes=pages * PAGE_BYTES + order.memory_bytes + SLACK_BYTES,
        zygote=os.getpid(),
        readable=readable,
        workspace_bytes=order.workspace_bytes if own_root else 0,
        workspace_files=order.workspace_files,
    )


def _enter_namespaces(
    order: Order, machine: Machine, readable: tuple[str, ...], layers: Layers
) -> bool:
    """Return whether the workers have a root of their own."""
    if "namespaces" in order.without:
        layers.tell("namespaces", "left out")
        return False
    inside, problem = namespaces.unshare()
    layers.tell("namespaces", problem)
    if not inside:
        return False
    continue_inside()
    try:
        minimal_root.enter(machine, readable)
    except OSError as error:
        layers.tell("minimal root", str(error))
        return False
    layers.tell("minimal root")
    return True


def _work(channel: int, mailbox: int | None, null: int, lock: python_lock.PythonLock) -> None:
    end = WorkerEnd(mailbox) if mailbox is not None else None
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    # Only now: the null device may have the number that the channel gets.
    os.dup2(channel, python_worker.CHANNEL)
    os.closerange(python_worker.CHANNEL + 1, 256)
    workspace = python_lock.apply(lock)
    python_worker.serve_calls(workspace, end)


if __name__ == "__main__":
    main()
