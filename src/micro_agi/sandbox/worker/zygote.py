"""Fork locked Lua workers on request: the program `python -I -S zygote.py …`.

The parent starts it with an empty environment and never forks itself, because its own
memory holds keys. Everything a worker needs is loaded and compiled here, before the
namespaces close: afterwards no file can be opened. One request on the control socket is
one forked worker, and is repeated in the answer; end of file is the order to go, and takes
every worker along.

Arguments: control fd, heap bytes, layers to leave out (comma-separated), import paths.
Source: spec/sandbox.md 6 "Topology", 7 (traps 1, 7, 12).
"""

import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import NamedTuple

# Only what the parent says is importable: `-I -S` gave us the standard library alone.
sys.path.extend(sys.argv[4:])
# Imports leave next to no garbage; looking for it, again and again, takes a sixth of the start.
gc.disable()

from micro_agi.sandbox.mailbox import WorkerEnd  # noqa: E402 - see above
from micro_agi.sandbox.worker import landlock, lua, namespaces, seccomp  # noqa: E402 - see above
from micro_agi.sandbox.worker.forking import (  # noqa: E402 - see above
    Layers,
    continue_inside,
    forked,
    serve_forks,
)
from micro_agi.sandbox.worker.lockdown import Lock, lock  # noqa: E402 - see above
from micro_agi.sandbox.worker.syscalls import (  # noqa: E402 - see above
    PR_SET_DUMPABLE,
    prctl,
    this_machine,
)

PAGE_BYTES = 4096
SLACK_BYTES = 64 << 20
"""Address space beside the Lua heap: stdio buffers, the C stack, allocator fragments."""
CPU_S = 60


class Given(NamedTuple):
    """The descriptors that a worker starts with."""

    channel: int
    mailbox: int | None
    null: int


Serve = Callable[[WorkerEnd | None], None]
"""The main loop of a worker, with the mailbox if it has one."""
Prepare = Callable[[int], Serve]
"""Takes the heap's bytes; returns the main loop of every worker."""
Fork = Callable[[Given, Lock, Serve], int]
"""Returns the process id of a worker that locks itself and runs its main loop."""


def main(prepare: Prepare = lua.prepare, fork: Fork | None = None) -> None:
    """Serve until the parent hangs up.

    `prepare` and `fork` replace the interpreter and the way a worker is forked: for
    `prove/compromised.py`, which attacks everything here but these two.
    """
    control = socket.socket(fileno=int(sys.argv[1]))
    heap_bytes = int(sys.argv[2])
    without = set(sys.argv[3].split(","))
    null = os.open(os.devnull, os.O_RDWR)
    serve = prepare(heap_bytes)
    layers = Layers()
    plan = _plan(heap_bytes, without, layers)
    if plan is None:
        control.send(layers.as_bytes())
        return
    plan = _enter_namespaces(plan, without, layers)
    prctl(PR_SET_DUMPABLE, 0)
    # The kernel reaps: a pidfd tells the parent about the end of a worker.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # What the workers share must stay as it is, so nothing is collected in it, ever.
    gc.freeze()
    gc.enable()
    control.send(layers.as_bytes())
    fork = fork or fork_worker
    serve_forks(control, lambda channel, mailbox: fork(Given(channel, mailbox, null), plan, serve))


def _plan(heap_bytes: int, without: set[str], layers: Layers) -> Lock | None:
    machine = this_machine()
    if machine is None:
        layers.tell("seccomp", f"no table of system calls for {os.uname().machine}")
        return None
    if "seccomp" in without or not seccomp.available():
        layers.tell("seccomp", "left out" if "seccomp" in without else "not available here")
        return None
    layers.tell("seccomp")
    layers.tell("limits")
    abi = 0 if "landlock" in without else landlock.version()
    left_out = "left out" if "landlock" in without else "the kernel has none"
    layers.tell("landlock", "" if abi else left_out)
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    return Lock(
        machine=machine,
        filter_code=seccomp.program(machine),
        landlock_abi=abi,
        address_bytes=pages * PAGE_BYTES + heap_bytes + SLACK_BYTES,
        cpu_s=CPU_S,
        zygote=os.getpid(),
    )


def _enter_namespaces(plan: Lock, without: set[str], layers: Layers) -> Lock:
    """Unshare, and go on in a child that is process 1 there; the outer process waits."""
    if "namespaces" in without:
        layers.tell("namespaces", "left out")
        return plan
    inside, problem = namespaces.unshare()
    layers.tell("namespaces", problem)
    if not inside:
        return plan
    continue_inside()
    try:
        namespaces.enter_empty_root(plan.machine)
        layers.tell("empty root")
    except OSError as error:
        layers.tell("empty root", str(error))
    return plan._replace(zygote=os.getpid())


def fork_worker(given: Given, plan: Lock, serve: Serve) -> int:
    """Fork a process that locks itself and serves its channel; return its id."""
    return forked(lambda: _work(given, plan, serve))


def _work(given: Given, plan: Lock, serve: Serve) -> None:
    mailbox = WorkerEnd(given.mailbox) if given.mailbox is not None else None
    os.dup2(given.channel, 0)
    os.dup2(given.channel, 1)
    os.dup2(given.null, 2)
    os.closerange(3, 256)
    lock(plan)
    serve(mailbox)


if __name__ == "__main__":
    main()
