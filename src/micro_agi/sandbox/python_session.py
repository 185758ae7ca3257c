"""Keep one Python session in a locked room: cells in, outcomes out, variables in between.

The room is the shell's (`sandbox/shell.py`), the filter a Python worker's. One cell at a time;
between two of them the process is stopped, so a session that nobody uses does nothing. At
the deadline it is interrupted first and keeps its variables, then killed. Where the kernel
cannot confine it, there is no session.

Source: spec/local-agent.md 7.4; spec/sandbox.md 3, 6 (REPL column); decision 0047.
"""

import asyncio
import contextlib
import importlib.util
import json
import os
import platform
import secrets
import signal
import socket
import struct
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from micro_agi.errors import SandboxUnavailable
from micro_agi.sandbox.languages import ONE_THREAD
from micro_agi.sandbox.readable import readable
from micro_agi.sandbox.run_later import places
from micro_agi.sandbox.shell import FIX, READ_BYTES, Output
from micro_agi.sandbox.wire import ERROR, HEADER, READY, RESULT

PROGRAM = Path(__file__).parent / "worker" / "session_worker.py"
NEEDED = ("micro_agi", "msgspec")
CREDENTIALS = struct.Struct("3i")
"""What the kernel says of a sender: process, user, group."""
START_S = 20.0
TIME = "time"
LOOK_EVERY_S = 0.05
FRAME_BYTES = 16 << 20
HOME = "/tmp/home"  # noqa: S108 - what the room has
ENVIRONMENT = {
    "HOME": HOME,
    "TMPDIR": "/tmp",  # noqa: S108 - the room's own
    "LANG": "C.UTF-8",
    # Of address space, each thread's own arena would take more than the thread is worth.
    "MALLOC_ARENA_MAX": "2",
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": f"{HOME}/matplotlib",
    **dict.fromkeys(ONE_THREAD, "1"),
}


class SessionLimits(Struct, frozen=True, kw_only=True):
    """What one session may use."""

    wall_s: float = 120.0
    """Of one cell."""
    grace_s: float = 2.0
    """That a cell has to give up after it was interrupted."""
    cpu_s: int = 3600
    """Of all cells together."""
    memory_bytes: int = 2 << 30
    file_bytes: int = 256 << 20
    """Of one file."""
    disk_bytes: int = 1 << 30
    """That may go from what is free while a cell runs; others who write count as well."""
    files: int = 10_000
    """The same, for files."""
    threads: int = 64
    output_bytes: int = 2 << 20
    """Kept of a cell's output from its beginning; as much again from its end."""


class Cell(Struct, frozen=True, kw_only=True):
    """How one cell ended."""

    output: str
    """All that it wrote, in the order in which it was written."""
    value: str | None = None
    """Text of its last expression, if it ended with one that is not None."""
    figures: tuple[str, ...] = ()
    """Files of plots, below the workspace."""
    failure: dict[str, Any] = field(default_factory=dict)
    """What it raised: `type`, `message`, `where`, `traceback`."""
    ended: str = ""
    """Why the session is over; its variables are gone. "" while it lives."""
    exited: bool = False
    """It is over because the cell wanted that."""
    interrupted: bool = False
    """The deadline passed; the session lives unless it ended."""
    made: tuple[str, ...] = ()
    """Places whose programs run outside later, which were not there before."""
    seconds: float = 0.0


class PythonSession:
    """One process with variables. Made by `start`; `close` it."""

    def __init__(self, workspace: Path, limits: SessionLimits) -> None:
        self._workspace = workspace
        self._limits = limits
        self._channel, self._theirs = socket.socketpair()
        # So that the kernel names the process at the other end by its number out here.
        self._channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._channel.setblocking(False)
        self._written, self._writes = os.pipe()
        os.set_blocking(self._written, False)
        self._output = Output(0)
        self._outer: asyncio.subprocess.Process | None = None
        self._outer_handle = -1
        self._handle = -1
        self._pid = 0
        self._over = ""
        self._places: frozenset[str] = frozenset()
        """Whose programs run outside later: those it cannot change, and those it was told of."""
        self._idle = asyncio.Event()
        self._idle.set()

    @classmethod
    async def start(
        cls,
        workspace: Path,
        limits: SessionLimits | None = None,
        *,
        without: frozenset[str] = frozenset(),
    ) -> "PythonSession":
        """Start a session whose only writable place is `workspace`.

        `without` leaves layers out (`landlock`, `namespaces`): for tests of weaker machines.
        Raises: SandboxUnavailable where the kernel cannot confine it.
        """
        if platform.system() != "Linux":
            raise _unavailable(f"{platform.system()} has none of the kernel's layers")
        session = cls(workspace, limits or SessionLimits())
        try:
            await session._start(without)
        except BaseException:
            await session.close()
            raise
        return session

    @property
    def alive(self) -> bool:
        """Whether it takes cells."""
        return not self._over

    @property
    def over(self) -> str:
        """Why it is over, or ""."""
        return self._over

    async def _start(self, without: frozenset[str]) -> None:
        self._places = frozenset(await asyncio.to_thread(places, self._workspace))
        order = {
            "protected": sorted(self._places),
            "parent": os.getpid(),
            "workspace": str(self._workspace),
            "packages": _packages(),
            "memory_bytes": self._limits.memory_bytes,
            "file_bytes": self._limits.file_bytes,
            "cpu_s": self._limits.cpu_s,
            "without": sorted(without),
        }
        theirs = self._theirs.fileno()
        self._outer = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(PROGRAM), str(theirs), json.dumps(order)),
            *_import_paths(),
            env=ENVIRONMENT,
            cwd="/",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=self._writes,
            stderr=self._writes,
            pass_fds=[theirs],
            start_new_session=True,
        )
        self._outer_handle = os.pidfd_open(self._outer.pid)
        self._theirs.close()
        self._let_go_of_writes()
        try:
            async with asyncio.timeout(START_S):
                said, what = await self._first_word()
        except (TimeoutError, EOFError, msgspec.DecodeError, ValueError) as error:
            raise _unavailable(
                "the process that makes the room ended before it said why"
            ) from error
        if said != READY:
            raise _unavailable(str(what))
        self._handle = os.pidfd_open(self._pid)
        self._signal(signal.SIGSTOP)

    async def _first_word(self) -> tuple[int, Any]:
        """Read the first frame, and from whom it comes."""
        await readable(self._channel)
        space = socket.CMSG_SPACE(CREDENTIALS.size)
        head, ancillary, _, _ = self._channel.recvmsg(HEADER.size, space)
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                self._pid = CREDENTIALS.unpack(data[: CREDENTIALS.size])[0]
        if len(head) < HEADER.size:
            raise EOFError
        said, what = msgspec.msgpack.decode(await self._exactly(HEADER.unpack(head)[0]))
        return said, what

    async def run(self, code: str, *, wall_s: float | None = None) -> Cell:
        """Run one cell and return how it ended; the session may be over then.

        Cancelling interrupts the cell; one that does not give up costs the session.
        """
        assert self.alive, "a session that is over takes no cells"
        started = time.monotonic()
        output = self._output = Output(self._limits.output_bytes)
        loop = asyncio.get_running_loop()
        self._idle.clear()
        loop.add_reader(self._written, self._read_output)
        answer = asyncio.create_task(self._exchange(secrets.token_hex(8), code))
        interrupted = False
        try:
            passed = await self._watched(answer, wall_s or self._limits.wall_s)
            if passed:
                interrupted = passed == TIME
                await self._give_up(answer, passed)
        except asyncio.CancelledError:
            await self._give_up(answer, TIME)
            raise
        finally:
            if not answer.done():
                self._kill("it was cancelled")
                await _dropped(answer)
            facts = self._facts_of(answer)
            if self._over and self._outer is not None:
                await self._outer.wait()
            else:
                self._signal(signal.SIGSTOP)
            # What the cell wrote before it answered is in the pipe by now.
            loop.remove_reader(self._written)
            self._read_output()
            self._idle.set()
            if self._over:
                await self.close()
        there = await asyncio.to_thread(places, self._workspace)
        made = tuple(path for path in there if path not in self._places)
        self._places |= {*made}
        return Cell(
            output=output.text,
            value=facts.get("value"),
            figures=tuple(facts.get("figures", ())),
            failure=facts if "type" in facts else {},
            ended=self._over,
            exited="exit" in facts,
            interrupted=interrupted,
            made=made,
            seconds=time.monotonic() - started,
        )

    def _read_output(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._written, READ_BYTES):
                self._output.add(data)
            asyncio.get_running_loop().remove_reader(self._written)

    def _let_go_of_writes(self) -> None:
        if self._writes >= 0:
            os.close(self._writes)
            self._writes = -1

    async def _exchange(self, number: str, code: str) -> dict[str, Any]:
        """Send a cell and return the facts of its answer.

        Raises: EOFError when the process ended; ValueError for an answer that is none.
        """
        loop = asyncio.get_running_loop()
        payload = msgspec.msgpack.encode((number, code))
        self._signal(signal.SIGCONT)
        await loop.sock_sendall(self._channel, HEADER.pack(len(payload)) + payload)
        (size,) = HEADER.unpack(await self._exactly(HEADER.size))
        if size > FRAME_BYTES:
            raise ValueError("too long")
        kind, echoed, facts = msgspec.convert(
            msgspec.msgpack.decode(await self._exactly(size)), tuple[int, str, dict[str, Any]]
        )
        if echoed != number or kind not in (RESULT, ERROR):
            raise ValueError("not an answer to this cell")
        return facts

    async def _exactly(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        data = bytearray()
        while len(data) < size:
            more = await loop.sock_recv(self._channel, min(size - len(data), READ_BYTES))
            if not more:
                raise EOFError
            data += more
        return bytes(data)

    async def _watched(self, answer: asyncio.Task[Any], wall_s: float) -> str:
        """Wait for the answer; return early with the limit that was passed."""
        deadline = time.monotonic() + wall_s
        free, files = _free(self._workspace)
        while True:
            left = deadline - time.monotonic()
            done, _ = await asyncio.wait((answer,), timeout=max(0.0, min(LOOK_EVERY_S, left)))
            if done:
                return ""
            if left <= LOOK_EVERY_S and time.monotonic() >= deadline:
                return TIME
            free_now, files_now = _free(self._workspace)
            if free_now < free - self._limits.disk_bytes or files_now < files - self._limits.files:
                return "it wrote more than a cell may, or others filled the disk"
            if self._threads() > self._limits.threads:
                return "it started more threads than a session may have"

    async def _give_up(self, answer: asyncio.Task[Any], passed: str) -> None:
        """Interrupt the cell, then kill; a passed limit other than time kills at once."""
        if passed == TIME:
            self._signal(signal.SIGINT)
            await asyncio.wait((answer,), timeout=self._limits.grace_s)
        if not answer.done():
            why = "it did not stop when it was interrupted" if passed == TIME else passed
            self._kill(why)
            await _dropped(answer)

    def _facts_of(self, answer: asyncio.Task[dict[str, Any]]) -> dict[str, Any]:
        if self._over:
            return {}
        try:
            facts = answer.result()
        except (EOFError, OSError):
            self._kill("the process ended: by the system, by `os._exit`, or out of memory")
            return {}
        except (ValueError, msgspec.MsgspecError):
            self._kill("it answered with something that is no answer")
            return {}
        if "exit" in facts:
            code = facts["exit"]
            self._kill(f"`exit({code})` was called" if code else "`exit()` was called")
        return facts

    def _threads(self) -> int:
        try:
            return len(os.listdir(f"/proc/{self._pid}/task"))
        except OSError:
            return 0

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)

    def _kill(self, why: str) -> None:
        self._over = self._over or why
        if self._handle >= 0:
            self._signal(signal.SIGKILL)
        if self._outer_handle >= 0:
            # Not `self._outer.kill()`, which first looks whether it ended and takes the news
            # away from whoever waits for it.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._outer_handle, signal.SIGKILL)

    async def close(self) -> None:
        """End the process and everything in its room. Calling it again does nothing."""
        self._kill("it was closed")
        # A cell that runs notices that the process ended, and still reads what it wrote.
        await self._idle.wait()
        if self._outer is not None:
            await self._outer.wait()
        self._channel.close()
        self._theirs.close()
        self._let_go_of_writes()
        for name in ("_handle", "_outer_handle", "_written"):
            if (number := getattr(self, name)) >= 0:
                os.close(number)
                setattr(self, name, -1)


async def _dropped(answer: asyncio.Task[Any]) -> None:
    """Let go of an answer that nobody waits for any more."""
    answer.cancel()
    await asyncio.wait((answer,))
    if not answer.cancelled():
        answer.exception()


def _free(place: Path) -> tuple[int, int]:
    """Return the bytes and the files that still fit where the workspace is."""
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize, found.f_favail


def _packages() -> list[str]:
    """Return where installed packages are; guests may import all of them."""
    found = (sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    return list(dict.fromkeys(path for path in found if os.path.isdir(path)))


def _import_paths() -> list[str]:
    paths: dict[str, None] = {}
    for name in NEEDED:
        spec = importlib.util.find_spec(name)
        assert spec is not None, "it is installed, since this runs"
        assert spec.origin is not None, "it has a file"
        paths[str(Path(spec.origin).parent.parent)] = None
    return list(paths)


def _unavailable(why: str) -> SandboxUnavailable:
    return SandboxUnavailable(
        "this machine cannot confine a Python session, so there is none", where=why, fix=FIX
    )
