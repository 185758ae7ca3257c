"""Run shell commands, each in a locked room of its own: the third profile of the sandbox.

A command needs processes and programs, which no other guest gets; it pays with everything
else: the workspace is the only thing it can change, what runs outside later excepted; its
network is empty, with at most a proxy to what was granted; the environment is empty; and
everything it started ends with it. Where the kernel cannot give it such a room, no command
runs at all.

Source: spec/local-agent.md 7.3; spec/sandbox.md 6; decisions 0039, 0050.
"""

import asyncio
import importlib.util
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from micro_agi.errors import SandboxUnavailable
from micro_agi.sandbox.room_proxy import Dial, RoomProxy
from micro_agi.sandbox.run_later import places

PROGRAM = Path(__file__).parent / "worker" / "shell_worker.py"
READ_BYTES = 64 << 10
REPORT_BYTES = 4096
FIX = "`micro-agi doctor` shows what this machine offers; a virtual machine has it all"


class ShellLimits(Struct, frozen=True, kw_only=True):
    """What one command may use."""

    wall_s: float = 60.0
    cpu_s: int = 600
    memory_bytes: int = 2 << 30
    """That all its processes hold together."""
    processes: int = 256
    disk_bytes: int = 4 << 30
    """That may go from what is free while it runs; others who write at the same time count."""
    head_bytes: int = 96 << 10
    """Of each output stream, kept from its beginning; as much again from its end."""


class Output(Struct):
    """One stream: its beginning, its end, and how much there was."""

    keep: int
    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    total: int = 0

    def add(self, data: bytes) -> None:
        """Take what came; the middle of a long stream is dropped."""
        self.total += len(data)
        room = self.keep - len(self.head)
        if room > 0:
            self.head += data[:room]
            data = data[room:]
        self.tail += data
        if len(self.tail) > 2 * self.keep:
            del self.tail[: -self.keep]

    @property
    def text(self) -> str:
        """The stream as text, with a mark where something is missing."""
        tail = bytes(self.tail[-self.keep :])
        missing = self.total - len(self.head) - len(tail)
        if missing <= 0:
            return bytes(self.head + self.tail).decode("utf-8", "replace")
        return (
            f"{self.head.decode('utf-8', 'replace')}\n… [{missing:,} bytes are left out] …\n"
            f"{tail.decode('utf-8', 'replace')}"
        )


class ShellResult(Struct, frozen=True, kw_only=True):
    """How a command ended, and what it wrote."""

    exit_code: int | None
    """None when it was ended by a signal, a limit or the deadline."""
    ended_by: str
    """`signal 9`, `processes`, `memory`, `disk`, `time`, or "" when it ended by itself."""
    output: str
    errors: str
    seconds: float
    made: tuple[str, ...] = ()
    """Places whose programs run outside later, which were not there before."""
    refused: tuple[str, ...] = ()
    """Where it wanted to connect and could not."""


async def run_shell(
    command: str,
    *,
    workspace: Path,
    directory: str = "",
    limits: ShellLimits | None = None,
    may_change: frozenset[str] = frozenset(),
    dial: Dial | None = None,
    without: frozenset[str] = frozenset(),
) -> ShellResult:
    """Run a command in `directory` of the workspace and return how it ended.

    Of the places whose programs run outside later (`run_later.places`) it may change those in
    `may_change`, by their paths below the workspace.
    With `dial` it has a proxy, whose connections go where that function leads them.
    `without` leaves layers out (`landlock`, `namespaces`): for tests of what a weaker machine gets.
    Cancelling ends everything the command started.
    Raises: SandboxUnavailable where the kernel cannot confine it.
    """
    if platform.system() != "Linux":
        raise _unavailable(f"{platform.system()} has none of the kernel's layers")
    limits = limits or ShellLimits()
    there = await asyncio.to_thread(places, workspace)
    order: dict[str, Any] = {
        "protected": [path for path in there if path not in may_change],
        "command": command,
        "workspace": str(workspace),
        "directory": directory,
        "processes": limits.processes,
        "memory_bytes": limits.memory_bytes,
        "disk_bytes": limits.disk_bytes,
        "cpu_s": limits.cpu_s,
        "without": sorted(without),
    }
    receive, send = os.pipe()
    proxy = RoomProxy(dial) if dial is not None else None
    handed = [proxy.theirs] if proxy is not None else []
    order["network"] = proxy.theirs if proxy is not None else None
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(PROGRAM), str(send), json.dumps(order)),
            *_import_paths(),
            env={},
            cwd="/",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=[send, *handed],
            start_new_session=True,
        )
    except BaseException:
        os.close(receive)
        if proxy is not None:
            await proxy.close()
        raise
    finally:
        os.close(send)
    if proxy is not None:
        proxy.begin()
    try:
        result = await _finished(process, receive, limits)
    finally:
        os.close(receive)
        if proxy is not None:
            await proxy.close()
    known = {*there, *may_change}
    made = [path for path in await asyncio.to_thread(places, workspace) if path not in known]
    refused = tuple(proxy.refused) if proxy is not None else ()
    return msgspec.structs.replace(result, made=tuple(made), refused=refused)


async def _finished(
    process: asyncio.subprocess.Process, receive: int, limits: ShellLimits
) -> ShellResult:
    started = time.monotonic()
    output, errors = Output(limits.head_bytes), Output(limits.head_bytes)
    # The pipes have to be read to their end in any case: the process counts as waited for only
    # then.
    all_of_it = asyncio.gather(
        _drain(process.stdout, output), _drain(process.stderr, errors), process.wait()
    )
    try:
        await asyncio.wait((all_of_it,), timeout=limits.wall_s)
    finally:
        late = not all_of_it.done()
        if late:
            # Its child is process 1 of the room and dies with it; then so does the room.
            process.kill()
            await asyncio.shield(all_of_it)
    said = {"ended": "time"} if late else _report(receive)
    if "unavailable" in said:
        raise _unavailable(str(said["unavailable"]))
    ended_by = str(said.get("ended") or said.get("limit") or "")
    if "signal" in said:
        ended_by = f"signal {said['signal']}"
    code = said.get("exit")
    return ShellResult(
        exit_code=code if isinstance(code, int) else None,
        ended_by=ended_by,
        output=output.text,
        errors=errors.text,
        seconds=time.monotonic() - started,
    )


async def _drain(stream: asyncio.StreamReader | None, into: Output) -> None:
    assert stream is not None, "both streams are pipes"
    while data := await stream.read(READ_BYTES):
        into.add(data)


def _report(receive: int) -> dict[str, int | str | None]:
    os.set_blocking(receive, False)
    try:
        text = os.read(receive, REPORT_BYTES)
    except BlockingIOError:
        text = b""
    if not text:
        return {"unavailable": "the process that makes the room ended before it could say why"}
    said: dict[str, int | str | None] = json.loads(text)
    return said


def _import_paths() -> list[str]:
    spec = importlib.util.find_spec("micro_agi")
    assert spec is not None, "this is it"
    assert spec.origin is not None, "it has a file"
    return [str(Path(spec.origin).parent.parent)]


def _unavailable(why: str) -> SandboxUnavailable:
    return SandboxUnavailable(
        "this machine cannot confine shell commands, so none is run", where=why, fix=FIX
    )
