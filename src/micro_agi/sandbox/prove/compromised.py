"""Fork workers whose interpreter is already broken: they are locked, and run an attack's code.

The program of the families `native` and `protocol`. All but the last step is the real
zygote: its namespaces, its lock, its channel. Instead of the Lua loop, a worker reads one
frame of Python and runs it, with whatever a native attacker would have: memory, both ends
of the protocol, and any system call by number. A watcher between the zygote and the worker
tells the runtime which signal ended it.

Arguments: those of `worker/zygote.py`.
"""

import ctypes
import os
import signal
import struct
import sys
from typing import Any, NoReturn

# Only what the parent says is importable: `-I -S` gave us the standard library alone.
sys.path.extend(sys.argv[4:])

from micro_agi.sandbox.mailbox import INVITATION, WorkerEnd
from micro_agi.sandbox.prove.ops import DIED, RAISED, RETURNED
from micro_agi.sandbox.worker import zygote
from micro_agi.sandbox.worker.lockdown import Lock
from micro_agi.sandbox.worker.syscalls import LIBC, PR_SET_PDEATHSIG, prctl

READY = b"\x92\x13\xc3"
HOST_CALL = b"\x93\x12\xa5print\x91\xa1x"
CHUNK = 1 << 16
NO_SUCH_CALL = 0xFFFF


def frame(payload: bytes) -> bytes:
    return struct.pack("<I", len(payload)) + payload


def text_frame(op: int, text: str) -> bytes:
    raw = text.encode()[:1000]
    return frame(bytes((0x92, op, 0xDA)) + struct.pack(">H", len(raw)) + raw)


def send(data: bytes) -> None:
    """Write raw bytes to the runtime."""
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def receive() -> bytes:
    """Return the payload of the runtime's next frame."""
    return _receive()[1]


def _receive() -> tuple[int, bytes]:
    (header,) = struct.unpack("<I", _exactly(4))
    return header, _exactly(header & ~INVITATION)


def _exactly(size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(0, min(size - len(data), CHUNK))
        if not piece:
            os._exit(0)
        data += piece
    return data


def talking(mailbox: WorkerEnd | None) -> bool:
    """Call the runtime quickly until it answers through memory; whether it ever does."""
    for _ in range(300):
        if mailbox is None:
            return False
        send(frame(HOST_CALL))
        if INVITATION & _receive()[0]:
            mailbox.put(b"", True)
            send(frame(HOST_CALL))
            if mailbox.take():
                return True
            _receive()
    return False


def text(value: str) -> bytes:
    """Encode short text as msgpack."""
    raw = value.encode()
    return bytes((0xD9, len(raw))) + raw


def syscall(number: int, *arguments: Any) -> int:
    """Make a system call; return its result, if the kernel lets us live."""
    return int(LIBC.syscall(ctypes.c_long(number), *arguments))


def serve(mailbox: WorkerEnd | None) -> NoReturn:
    """Run the attack that the first frame holds; what it leaves in `result` is reported.

    An attack that leaves nothing has spoken for itself, and waits for its end.
    """
    send(frame(READY))
    tools = {
        **{"syscall": syscall, "send": send, "receive": receive, "frame": frame, "text": text},
        **{"struct": struct, "ctypes": ctypes, "os": os, "result": None},
        **{"mailbox": mailbox, "talking": lambda: talking(mailbox)},
    }
    try:
        exec(compile(receive(), "attack", "exec"), tools)  # noqa: S102 - locked already
    except (ArithmeticError, LookupError, MemoryError, NameError, OSError, TypeError) as problem:
        send(text_frame(RAISED, f"{type(problem).__name__}: {problem}"))
    else:
        if tools["result"] is not None:
            send(text_frame(RETURNED, str(tools["result"])))
    while True:
        receive()


def prepare(heap_bytes: int) -> zygote.Serve:
    # The first use of a C function binds it, which must not happen behind the lock.
    syscall(NO_SUCH_CALL)
    return serve


def fork_watched(given: zygote.Given, plan: Lock, serve: zygote.Serve) -> int:
    """Fork a watcher that forks the worker; return the watcher, whose end is the worker's."""
    watcher = os.fork()
    if watcher:
        return watcher
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        worker = zygote.fork_worker(given, plan._replace(zygote=os.getpid()), serve)
        _, status = os.waitpid(worker, 0)
        if os.WIFSIGNALED(status):
            os.write(given.channel, text_frame(DIED, signal.Signals(os.WTERMSIG(status)).name))
    finally:
        os._exit(0)


if __name__ == "__main__":
    zygote.main(prepare, fork_watched)
