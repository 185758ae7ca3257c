"""Be one persistent Python session: the program `python -I -S session_worker.py …`.

It enters the room of the shell (`shell_root.py`): the workspace is all it can change, there is
no network, no other process, no environment; and then locks itself as Python workers do.
It is process 1 of its room, so nothing can outlive it. The process around it waits, dies with
the runtime, and takes the room along.

Arguments: descriptor of the channel, the order as JSON, import paths.
Source: spec/local-agent.md 7.4; spec/sandbox.md 2.2, 6 (REPL column).
"""

import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

# `-I -S` gave us the standard library alone; ours come from where the parent says.
sys.path.extend(sys.argv[3:])

import msgspec

from micro_agi.sandbox.wire import ERROR, HEADER, READY
from micro_agi.sandbox.worker import (
    landlock,
    namespaces,
    python_worker,
    seccomp,
    session_cells,
    session_filter,
    shell_root,
)
from micro_agi.sandbox.worker.forking import continue_inside
from micro_agi.sandbox.worker.lockdown import seal
from micro_agi.sandbox.worker.syscalls import (
    LIBC,
    PR_SET_PDEATHSIG,
    Machine,
    prctl,
    this_machine,
)

PR_CAPBSET_DROP = 24
CAPABILITIES = 64
DESCRIPTORS = 256
THREADS = 64
"""Not enforced for root; the parent counts as well."""
PAGE_BYTES = 4096
STANDARD_PATHS = [path for path in sys.path if path not in sys.argv[3:]][1:]
"""Without the directory of this program, which is first."""


def main() -> None:
    channel, order = int(sys.argv[1]), json.loads(sys.argv[2])
    if channel != python_worker.CHANNEL:
        os.dup2(channel, python_worker.CHANNEL)
        os.close(channel)
    try:
        problem = _confine(order)
    except OSError as error:
        problem = error.strerror or str(error)
    if problem:
        _tell(ERROR, problem)
        os._exit(1)
    _tell(READY, True)
    session_cells.serve()


def _confine(order: dict[str, Any]) -> str:
    """Lock this process; return what the kernel refuses. The outer process never returns."""
    machine = this_machine()
    if machine is None or not seccomp.available():
        return "this machine has no system call filter for it"
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != order["parent"]:
        os._exit(1)
    without = order["without"]
    code = session_filter.program(machine)
    abi = 0 if "landlock" in without else landlock.version()
    libraries = [path for path in (*STANDARD_PATHS, *order["packages"]) if os.path.isdir(path)]
    left_out = "namespaces" in without
    inside, problem = (False, "left out") if left_out else namespaces.unshare(as_root=False)
    if not inside or problem:
        return f"namespaces: {problem}"
    # What is ours was imported; guests find the standard library and what is installed.
    sys.dont_write_bytecode = True
    sys.path[:] = ["", *STANDARD_PATHS, *order["packages"]]
    # Its own process: it waits for the room, and keeps no end of the channel open.
    continue_inside()
    workspace = order["workspace"]
    shell_root.enter(machine, workspace, libraries=libraries, protected=order["protected"])
    os.chdir(workspace)
    for capability in range(CAPABILITIES):
        LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    _limit(order)
    # In here our parent is outside, and so has no number.
    seal(machine, 0)
    if abi:
        landlock.restrict(abi, readable=("/",), writable=shell_root.workable(workspace))
    _close(machine, code)
    return ""


def _limit(order: dict[str, Any]) -> None:
    pages = int(Path("/proc/self/statm").read_bytes().split()[0])
    memory = pages * PAGE_BYTES + int(order["memory_bytes"])
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, THREADS),
        (resource.RLIMIT_NOFILE, DESCRIPTORS),
        (resource.RLIMIT_FSIZE, int(order["file_bytes"])),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_CPU, int(order["cpu_s"])),
        (resource.RLIMIT_AS, memory),
    ):
        resource.setrlimit(kind, (value, value))


def _close(machine: Machine, code: bytes) -> None:
    os.closerange(python_worker.CHANNEL + 1, DESCRIPTORS)
    seccomp.install(machine, code)


def _tell(kind: int, what: Any) -> None:
    payload = msgspec.msgpack.encode((kind, what))
    os.write(python_worker.CHANNEL, HEADER.pack(len(payload)) + payload)


if __name__ == "__main__":
    main()
