"""Serve fork requests in a zygote, whatever language its workers speak.

One request on the control socket is one forked worker; end of file is the order to go, and
takes every worker along. The answer carries a process handle, so a reused id is never hit.
"""

import array
import os
import signal
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from micro_agi.sandbox.worker.syscalls import PR_SET_PDEATHSIG, prctl

FAILED = 1


@dataclass(slots=True)
class Layers:
    """What confines the workers of this zygote, and why the rest is missing."""

    present: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def tell(self, name: str, problem: str = "") -> None:
        if problem:
            self.missing.append(f"{name}: {problem}")
        else:
            self.present.append(name)

    def as_bytes(self) -> bytes:
        return "\n".join([",".join(self.present), *self.missing]).encode()


def continue_inside() -> None:
    """Go on in a child, which is process 1 of a new process namespace; the outer one waits."""
    inner = os.fork()
    if inner:
        os.closerange(3, 256)
        _, status = os.waitpid(inner, 0)
        os._exit(os.waitstatus_to_exitcode(status) and FAILED)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def serve_forks(control: socket.socket, work: Callable[[int], None]) -> None:
    """Fork a worker for every request, until the parent hangs up.

    `work` gets the descriptor of the worker's channel, and must lock itself first.
    """
    while True:
        request, ancillary, _, _ = control.recvmsg(16, socket.CMSG_SPACE(4))
        if not request:
            os._exit(0)
        channel = array.array("i", ancillary[0][2][:4])[0]
        worker = _fork(channel, work)
        os.close(channel)
        try:
            handle = os.pidfd_open(worker)
        except OSError:
            # It is dead already and reaped; the parent sees a worker without a handle.
            control.send(struct.pack("<i", worker))
            continue
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [handle]))
        control.sendmsg([struct.pack("<i", worker)], [rights])
        os.close(handle)


def _fork(channel: int, work: Callable[[int], None]) -> int:
    worker = os.fork()
    if worker:
        return worker
    # Whatever happens from here on, this process must never return into the fork loop.
    try:
        work(channel)
    finally:
        os._exit(FAILED)
