"""Serve fork requests in a zygote, whatever language its workers speak.

One request on the control socket is one forked worker, and is repeated in the answer; end
of file is the order to go, and takes every worker along. The answer carries a process
handle, so a reused id is never hit.
"""

import array
import errno
import os
import signal
import socket
import struct
from collections.abc import Callable, Sequence

from micro_agi.sandbox.worker.syscalls import PR_SET_PDEATHSIG, prctl

FAILED = 1
NO_PROBLEM = struct.pack("<i", 0)


class Layers:
    """What confines the workers of this zygote, and why the rest is missing."""

    def __init__(self) -> None:
        self.present: list[str] = []
        self.missing: list[str] = []

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


def serve_forks(control: socket.socket, fork: Callable[[int, int | None], int]) -> None:
    """Fork a worker for every request, until the parent hangs up.

    `fork` gets the descriptors of the worker's channel and of its mailbox, if there is one, and
    returns the worker's process id.
    """
    while True:
        request, ancillary, _, _ = control.recvmsg(16, socket.CMSG_SPACE(8))
        if not request:
            os._exit(0)
        channel, mailbox = _two_of(array.array("i", ancillary[0][2]))
        try:
            worker = fork(channel, mailbox)
        except OSError as error:
            # No process or memory left. The workers there are go on.
            control.send(request + struct.pack("<i", error.errno or errno.EAGAIN))
            continue
        finally:
            os.close(channel)
            if mailbox is not None:
                os.close(mailbox)
        try:
            handle = os.pidfd_open(worker)
        except OSError:
            # It is dead already and reaped; the parent sees a worker without a handle.
            control.send(request + NO_PROBLEM)
            continue
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [handle]))
        control.sendmsg([request + NO_PROBLEM], [rights])
        os.close(handle)


def _two_of(descriptors: Sequence[int]) -> tuple[int, int | None]:
    return descriptors[0], descriptors[1] if len(descriptors) > 1 else None


def forked(work: Callable[[], None]) -> int:
    """Fork a process that does `work`, which must lock it first; return its id."""
    worker = os.fork()
    if worker:
        return worker
    # Whatever happens from here on, this process must never return into the fork loop.
    try:
        work()
    finally:
        os._exit(FAILED)
