"""Start the zygote and ask it for workers: the parent's end of `worker/zygote.py`.

The zygote is a new program with an empty environment and no open file but its control
socket: the agent itself is never forked, its memory holds keys. What the zygote says about
its layers decides the isolation level; a level below what policy asks is a refusal.

Source: spec/sandbox.md 6 "Topology" and "Degradation".
"""

import array
import asyncio
import importlib.util
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from micro_agi.errors import SandboxUnavailable
from micro_agi.sandbox.languages import LUA, Language
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.wire import READY
from micro_agi.sandbox.worker_channel import Worker, WorkerLost

Level = Literal["A", "B", "C", "D"]
LEVELS: tuple[Level, ...] = ("A", "B", "C", "D")

START_S = 10.0
READY_S = 5.0
HELLO_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """What confines the workers."""

    level: Level
    layers: tuple[str, ...]
    missing: tuple[str, ...]
    """Each absent layer with the reason the kernel gave."""


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
        self.isolation = isolation

    @classmethod
    async def start(
        cls,
        limits: Limits,
        *,
        minimum: Level,
        without: frozenset[str] = frozenset(),
        language: Language = LUA,
    ) -> "ForkServer":
        """Start a zygote and wait until it is ready to fork.

        Raises:
            SandboxUnavailable: it did not come up, or confines less than `minimum`.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            process = _execute(theirs.fileno(), limits, without, language)
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

        Its end of the socket closes before its workers are killed; the exit of the process
        shows only afterwards.
        """
        try:
            return self._control.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    async def fork(self, *, frame_bytes: int) -> Worker:
        """Return a new worker that has locked itself.

        Raises:
            ZygoteLost: the zygote is gone.
            SandboxUnavailable: the worker could not lock itself.
        """
        loop = asyncio.get_running_loop()
        async with self._one_at_a_time:
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            try:
                with theirs:
                    rights = array.array("i", [theirs.fileno()])
                    part = (socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)
                    self._control.sendmsg([b"fork"], [part])
                handle = await _receive_handle(self._control)
            except OSError as error:
                ours.close()
                raise ZygoteLost from error
            except BaseException:
                ours.close()
                raise
        worker = Worker(loop, ours, handle, frame_bytes=frame_bytes)
        try:
            message = await asyncio.wait_for(worker.receive(), READY_S)
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
        assert message[0] == READY, "the first message of trusted code"
        return worker

    async def close(self) -> None:
        """End the zygote and, with it, every worker it forked."""
        self._control.close()
        await asyncio.to_thread(_reap, self._process)


def _execute(
    control: int, limits: Limits, without: frozenset[str], language: Language
) -> subprocess.Popen[bytes]:
    arguments = [str(control), str(limits.memory_bytes), ",".join(sorted(without))]
    if language.name == "python":
        sizes = [str(limits.workspace_bytes), str(limits.workspace_files)]
        arguments += [*sizes, ",".join(language.offers)]
    return subprocess.Popen(  # noqa: S603 - our own program, fixed arguments
        [
            sys.executable,
            "-I",
            "-S",
            "-B",
            str(language.program),
            *arguments,
            *_import_paths(language),
        ],
        env=dict(language.environment),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[control],
        # A Ctrl-C at the terminal is for the agent, which then ends its workers in order.
        start_new_session=True,
    )


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


async def _receive_handle(control: socket.socket) -> int | None:
    """Wait for the answer to a fork request; return the worker's pidfd if it still lives.

    Raises:
        ConnectionError: the zygote is gone.
    """
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(control.fileno(), readable.set)
    try:
        await asyncio.wait_for(readable.wait(), READY_S)
    finally:
        loop.remove_reader(control.fileno())
    data, ancillary, _, _ = control.recvmsg(16, socket.CMSG_SPACE(4))
    if not data:
        raise ConnectionResetError("the zygote closed its socket")
    handles = array.array("i")
    for _, _, content in ancillary:
        handles.frombytes(content[:4])
    if not handles:
        return None
    os.set_inheritable(handles[0], False)
    return handles[0]


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
        raise SandboxUnavailable(
            f"this machine cannot confine {language.name} code: it reaches level {level}, "
            f"and {language.worst} is the least that hides the files of this machine",
            where="; ".join(missing),
            fix="write the tool in lua, which is confined at every level",
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
