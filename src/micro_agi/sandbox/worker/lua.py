"""Make the Lua state that every worker inherits, with nothing of Python reachable in it.

The trusted prelude is the worker's main loop: it reads and writes frames on fd 0 and 1
itself, so no Python runs per call and no Python object ever crosses into Lua. The only
exceptions are the accelerators of `pure/`: bytes in, bytes out, never raising, held as
upvalues of trusted code.

Source: spec/sandbox.md 1.4 (escapes of lupa, all closed by this), 1.5, 7 (trap 1).
"""

import os
import struct
import time
from collections.abc import Callable, Mapping

from lupa import lua54

from micro_agi.sandbox.mailbox import AREA_BYTES, WorkerEnd
from micro_agi.sandbox.worker.pure import digest, json_text, transfer

HERE = os.path.dirname(__file__)
LOCAL_ZONE = "/etc/localtime"
STDIO_BUFFER = 65536
MOVED_BYTES = 32 << 20
"""Arguments and result of one accelerator's call: half of the address space beside the heap."""
SPARE_BYTES = 65536
NEED_LIBRARIES = frozenset(
    {
        *("crypto", "expr", "text", "text_diff", "text_regexp", "text_splitter"),
        *("yaml", "yaml_decode", "yaml_encode", "yaml_word"),
    }
)
"""Lua modules over accelerators that not every worker has."""

ACCELERATORS: Mapping[str, Callable[..., bytes]] = {
    **digest.ACCELERATORS,
    **json_text.ACCELERATORS,
    **transfer.ACCELERATORS,
}
"""What every worker has. The libraries behind the others take most of a zygote's start:
`library_zygote.py` has them."""


def _within(
    room: Callable[[], int], function: Callable[..., bytes]
) -> Callable[..., bytes | bool | None]:
    """Answer None where memory lacks, and False where collecting garbage may help.

    To fail instead would take memory from all later calls of the worker: an exception keeps
    its frames with their arguments, as the runtime keeps the last one; and a result that
    does not fit into the heap is lost in the middle of being handed over.
    """

    def call(*arguments: bytes) -> bytes | bool | None:
        try:
            result = function(*arguments)
        except MemoryError:
            return None
        moved = len(result) + sum(len(a) for a in arguments if isinstance(a, bytes))
        if moved > MOVED_BYTES:
            return None
        return result if len(result) + SPARE_BYTES <= room() else False

    return call


def now() -> bytes:
    """Return the wall clock in nanoseconds since 1970, as eight bytes."""
    return struct.pack("<q", time.time_ns())


def elapsed() -> bytes:
    """Return the monotonic clock in nanoseconds, as eight bytes."""
    return struct.pack("<q", time.monotonic_ns())


def seed() -> bytes:
    """Return sixteen random bytes from the kernel."""
    return os.urandom(16)


def prepare(
    heap_bytes: int, libraries: Mapping[str, Callable[..., bytes]] | None = None
) -> Callable[[WorkerEnd | None], None]:
    """Build and compile everything; return the main loop, which never returns.

    `libraries` are the accelerators that need one. Without, the modules over them are left out.
    The heap limit holds for all that a guest allocates; the prelude's share is about 1 MB.
    """
    runtime = lua54.LuaRuntime(
        encoding=None, register_eval=False, register_builtins=False, max_memory=heap_bytes
    )
    # The first read or write of a stream asks fstat for a buffer size, which the filter
    # would punish; so the buffers are allocated here.
    runtime.execute(f'io.stdin:setvbuf("full", {STDIO_BUFFER})'.encode())
    # A frame is written as one string, so each is one system call without being copied before.
    runtime.execute(b'io.stdout:setvbuf("no")')
    runtime.execute(b"python = nil package.loaded.python = nil require = nil")
    start = runtime.compile(_read("prelude.lua"), name=b"=(prelude)", mode=b"t")
    settings = runtime.table()

    def room() -> int:
        return heap_bytes - int(runtime.get_memory_used(total=True))

    accelerators = {**ACCELERATORS, **(libraries or {})}
    for name, function in {**accelerators, "now": now, "elapsed": elapsed, "seed": seed}.items():
        settings[name.encode()] = _within(room, function)
    settings[b"libraries"] = libraries is not None
    settings[b"local_zone"] = _local_zone()
    for name in sorted(os.listdir(os.path.join(HERE, "modules"))):
        stem, extension = os.path.splitext(name)
        if extension == ".lua" and (libraries is not None or stem not in NEED_LIBRARIES):
            source = _read("modules", name)
            # The brackets tell the prelude's stack reader that a frame is not a guest's.
            chunk = runtime.compile(source, name=f"=({stem})".encode(), mode=b"t")
            settings[f"module.{stem}".encode()] = chunk
    loop = start(settings)

    def serve(mailbox: WorkerEnd | None) -> None:
        if mailbox is None:
            loop()
        else:
            loop(AREA_BYTES, mailbox.put, mailbox.take, mailbox.exchange, mailbox.noticed)

    return serve


def _read(*path: str) -> bytes:
    with open(os.path.join(HERE, *path), "rb") as file:
        return file.read()


def _local_zone() -> bytes:
    try:
        with open(LOCAL_ZONE, "rb") as file:
            return file.read()
    except OSError:
        return b""
