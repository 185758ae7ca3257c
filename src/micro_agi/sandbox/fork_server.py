"""Start the zygote and ask it for workers: the parent's end of `worker/zygote.py`.

The zygote is a new program with an empty environment and no open file but its control
socket: the agent itself is never forked, its memory holds keys. What the zygote says about
its layers decides the isolation level; a level below what policy asks is a refusal.

Source: spec/sandbox.md 6 "Topology" and "Degradation".
"""

import array
import asyncio
import contextlib
import errno
import importlib.util
import os
import platform
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from micro_agi.errors import SandboxUnavailable
from micro_agi.sandbox.languages import LUA, Language
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.mailbox import ParentEnd
from micro_agi.sandbox.mailbox import worthwhile as mailboxes_pay
from micro_agi.sandbox.worker_channel import Worker, WorkerLost

Level = Literal["A", "B", "C", "D"]
LEVELS: tuple[Level, ...] = ("A", "B", "C", "D")
UNVERIFIED: Mapping[str, str] = {
    "E": "Seatbelt has not been shown to stop one attack of the corpus, and macOS has no "
    "process handle to end a worker by",
    "F": "this system has no layer that has been shown to stop one attack of the corpus",
}
"""Levels without an implementation, and what would have to be shown before there is one."""

FORK = struct.Struct("<I")
"""A request: its number; the worker's socket comes with it."""
FORKED = struct.Struct("<Ii")
"""The answer: the request's number, and what went wrong (0: nothing, a pidfd comes with it
unless the worker has ended already)."""
START_S = 10.0
READY_S = 5.0
HELLO_BYTES = 4096


class Isolation(Struct, frozen=True, kw_only=True):
    """What confines the workers."""

    level: Level
    layers: tuple[str, ...]
    missing: tuple[str, ...]
    """Each absent layer with the reason the kernel gave."""


class TooWeak(SandboxUnavailable):
    """This machine runs code, but not of this language: its level is below the language's worst."""


class ZygoteLost(Exception):
    """The zygote ended: what it was asked for will not come."""


class ForkServer:
    """One running zygote."""

    def __init__(
        self, process: subprocess.Popen[bytes], control: socket.socket, isolation: Isolation
    ) -> None:
        self._process = process
        self._control = control
        self._one_at_a_time = asyncio.Lock()
        self._asked = 0
        self.isolation = isolation

    @classmethod
    async def start(
        cls,
        limits: Limits,
        *,
        minimum: Level,
        without: frozenset[str] = frozenset(),
        language: Language = LUA,
        program: Path | None = None,
    ) -> "ForkServer":
        """Start a zygote and wait until it is ready to fork.

        `program` is another zygote than the language's: `prove/compromised.py`.

        Raises:
            SandboxUnavailable: it did not come up, or confines less than `minimum`.
        """
        _require_known_system()
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            raise _out_of_something(error) from error
        ours.setblocking(False)
        try:
            with theirs:
                process = _execute(
                    program or language.program, theirs.fileno(), limits, without, language
                )
        except OSError as error:
            ours.close()
            raise _out_of_something(error) from error
        try:
            hello = await asyncio.wait_for(_receive(ours, HELLO_BYTES), START_S)
            isolation = _isolation(hello, minimum, language)
        except BaseException:
            _end(process, ours)
            raise
        return cls(process, ours, isolation)

    @property
    def alive(self) -> bool:
        """Whether the zygote still runs.

        Its end of the socket closes before its workers are killed, but for one that it was just
        making and that has a copy. If the outer process was killed, that has ended before them
        too: its end is what kills the one inside.
        """
        try:
            return self._control.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return self._process.poll() is None
        except OSError:
            return False

    async def fork(self, *, frame_bytes: int) -> Worker:
        """Return a new worker that has locked itself.

        Raises:
            ZygoteLost: the zygote is gone.
            SandboxUnavailable: the worker could not lock itself, or descriptors, processes
                or memory ran out.
        """
        worker = await self._forked(frame_bytes)
        try:
            await asyncio.wait_for(worker.ready(), READY_S)
        except (WorkerLost, TimeoutError) as error:
            worker.kill("it did not become ready")
            if self._process.poll() is not None:
                raise ZygoteLost from error
            raise SandboxUnavailable(
                "a worker could not lock itself",
                where=f"isolation level {self.isolation.level}",
                fix="`micro-agi doctor` shows what this machine offers",
            ) from error
        except BaseException:
            worker.kill("nobody wants it any more")
            raise
        return worker

    async def _forked(self, frame_bytes: int) -> Worker:
        """Return a worker that is about to lock itself. Raises: as `fork`."""
        async with self._one_at_a_time:
            with contextlib.ExitStack() as undo:
                try:
                    ours, theirs = socket.socketpair()
                    undo.enter_context(ours)
                    passed = [undo.enter_context(theirs).fileno()]
                except OSError as error:
                    raise _out_of_something(error) from error
                mailbox = _mailbox()
                if mailbox is not None:
                    undo.callback(mailbox.close)
                    passed.append(mailbox.fd)
                ours.setblocking(False)
                self._asked += 1
                rights = array.array("i", passed)
                part = (socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)
                try:
                    self._control.sendmsg([FORK.pack(self._asked)], [part])
                    theirs.close()
                    if mailbox is not None:
                        mailbox.handed_over()
                    handle = await _receive_handle(self._control, self._asked)
                except OSError as error:
                    raise ZygoteLost from error
                undo.pop_all()
        loop = asyncio.get_running_loop()
        return Worker(loop, ours, handle, frame_bytes=frame_bytes, mailbox=mailbox)

    async def rest(self) -> None:
        """Wait until no fork is under way; then another pool may go on, on any event loop."""
        async with self._one_at_a_time:
            pass
        # A lock that somebody waited for belongs to the event loop of the wait.
        self._one_at_a_time = asyncio.Lock()

    def end(self) -> None:
        """Kill the zygote and, with it, every worker it forked, without an event loop."""
        _end(self._process, self._control)

    async def close(self) -> None:
        """End the zygote and, with it, every worker it forked."""
        # Whoever waits for a worker sees the end at once; a socket closed under them would
        # only stay silent.
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        async with self._one_at_a_time:
            self._control.close()
        # Whoever closes may be cancelled; the process is waited for nonetheless.
        await asyncio.shield(asyncio.to_thread(_reap, self._process))


def _mailbox() -> ParentEnd | None:
    """Return a new mailbox; None where it is of no use, or memory or descriptors ran out."""
    if not mailboxes_pay():
        return None
    with contextlib.suppress(OSError):
        return ParentEnd()
    return None


def _require_known_system() -> None:
    """Refuse a system on which nobody has shown that the layers hold: levels E and F.

    Raises: SandboxUnavailable, saying what is unverified.
    """
    system = platform.system()
    if system == "Linux":
        return
    level = "E" if system == "Darwin" else "F"
    raise SandboxUnavailable(
        f"code of agents does not run on {system or 'this system'}: isolation level {level} "
        "is not verified",
        where=UNVERIFIED[level],
        fix="run micro-agi on Linux: in a virtual machine, or in a container (level B)",
    )


def _execute(
    program: Path, control: int, limits: Limits, without: frozenset[str], language: Language
) -> subprocess.Popen[bytes]:
    arguments = [str(control), *told(limits, without, language)]
    return subprocess.Popen(  # noqa: S603 - our own program, fixed arguments
        [sys.executable, "-I", "-S", str(program), *arguments, *_import_paths(language)],
        env=dict(language.environment),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[control],
        # A Ctrl-C at the terminal is for the agent, which then ends its workers in order.
        start_new_session=True,
    )


def told(limits: Limits, without: frozenset[str], language: Language) -> list[str]:
    """Return the arguments of a zygote: all that it learns of limits and layers."""
    arguments = [str(limits.memory_bytes), ",".join(sorted(without))]
    if language.interpreter:
        arguments += [str(limits.wall_s), language.interpreter]
    elif language.name == "python":
        sizes = [str(limits.workspace_bytes), str(limits.workspace_files)]
        arguments += [*sizes, ",".join(language.offers)]
    return arguments


def _import_paths(language: Language) -> list[str]:
    paths: dict[str, None] = {}
    for package in language.needs:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise SandboxUnavailable(
                f"the package `{package}` is not installed", fix="reinstall micro-agi"
            )
        paths[str(Path(spec.origin).parent.parent)] = None
    return list(paths)


async def _receive(control: socket.socket, size: int) -> bytes:
    return await asyncio.get_running_loop().sock_recv(control, size)


async def _receive_handle(control: socket.socket, number: int) -> int | None:
    """Wait for the answer to fork request `number`; return the worker's pidfd if it still lives.

    Answers to earlier requests, whose callers were cancelled, are thrown away: taken for
    this one, they would make the pool kill the wrong process.

    Raises:
        ConnectionError: the zygote is gone.
        SandboxUnavailable: descriptors, processes or memory ran out.
    """
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(control.fileno(), readable.set)
    try:
        async with asyncio.timeout(READY_S):
            while True:
                await readable.wait()
                readable.clear()
                try:
                    answered, problem, handle = _take_handle(control)
                except BlockingIOError:
                    # The event was set once more for an answer that is taken already.
                    continue
                if answered == number:
                    break
                if handle is not None:
                    os.close(handle)
    finally:
        loop.remove_reader(control.fileno())
    if problem:
        raise _out_of_something(OSError(problem, os.strerror(problem)))
    return handle


def _take_handle(control: socket.socket) -> tuple[int, int, int | None]:
    """Read one answer: the request's number, an error number or 0, and the pidfd."""
    data, ancillary, flags, _ = control.recvmsg(FORKED.size, socket.CMSG_SPACE(4))
    if not data:
        raise ConnectionResetError("the zygote closed its socket")
    answered, problem = FORKED.unpack(data)
    handles = array.array("i")
    for _, _, content in ancillary:
        handles.frombytes(content[:4])
    # Without a free descriptor the kernel drops the pidfd on the way. A worker that cannot
    # be killed must not get a call; it ends when its socket closes.
    if flags & socket.MSG_CTRUNC:
        problem = errno.EMFILE
    if not handles:
        return answered, problem, None
    os.set_inheritable(handles[0], False)
    return answered, problem, handles[0]


def _out_of_something(error: OSError) -> SandboxUnavailable:
    return SandboxUnavailable(
        f"no worker could be made: {error.strerror}",
        fix="wait until calls end, or raise the limit on open files and processes (`ulimit`)",
    )


def _isolation(hello: bytes, minimum: Level, language: Language) -> Isolation:
    """Read what the zygote says it has, and refuse what is less than policy asks."""
    lines = hello.decode().split("\n")
    layers = tuple(name for name in lines[0].split(",") if name)
    missing = tuple(lines[1:])
    own_world = "namespaces" in layers and language.root in layers
    fix = "`micro-agi doctor` explains the levels; a newer kernel or fewer restrictions may help"
    if "seccomp" not in layers:
        where = "; ".join(missing) or "the zygote ended before it could say"
        raise SandboxUnavailable("this machine cannot confine code", where=where, fix=fix)
    level: Level = "D"
    if "landlock" in layers:
        level = "A" if own_world else "B"
    elif own_world:
        level = "C"
    if level > language.worst:
        raise TooWeak(
            f"this machine cannot confine {language.backend}: it reaches level {level}, "
            f"and {language.worst} is the least that hides the files of this machine",
            where="; ".join(missing),
            fix="write the tool in lua, which is confined at every level, or install the extra "
            "`monty` (`pip install 'micro-agi[monty]'`), which runs a subset of Python",
        )
    if level > minimum:
        raise SandboxUnavailable(
            f"the sandbox reaches isolation level {level}, and {minimum} is asked for",
            where="; ".join(missing),
            fix=fix,
        )
    return Isolation(level=level, layers=layers, missing=missing)


def _end(process: subprocess.Popen[bytes], control: socket.socket) -> None:
    control.close()
    process.kill()
    process.wait()


def _reap(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(2.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
