"""Run Python tools in a locked process: read a call, run it, answer, until the parent hangs up.

Every call gets new globals and an empty workspace; code that pokes around in the interpreter
can reach beyond, and finds nothing but itself: a worker serves one tool in one session.

The parent stops a call with an interrupt first. It must not tear a frame apart, so it is
held back while an exchange with the parent is under way.

Source: spec/sandbox.md 3; the protocol is `wire.py`'s.
"""

import functools
import inspect
import linecache
import os
import shutil
import signal
import sys
import traceback
import types

# What the module `signal` wraps around this takes 3 µs.
from _signal import getsignal as handler_of  # type: ignore[import-not-found]
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from micro_agi.sandbox.mailbox import AREA_BYTES, INVITATION, NOTICE, WorkerEnd
from micro_agi.sandbox.wire import ANSWER, CALL, ERROR, HEADER, HOST, READY, RESULT
from micro_agi.sandbox.worker import python_loop
from micro_agi.sandbox.worker.python_modules import HostError, Importer, LastWord
from micro_agi.sandbox.worker.python_output import Output
from micro_agi.sandbox.worker.python_values import (
    NotJson,
    takes_plain_values,
    to_json,
    to_types,
)

CHANNEL = 3
ERROR_BYTES = 65_536
MESSAGE_CHARACTERS = 4_000
TRACEBACK_FRAMES = 8
HANDLER = "handler"
"""The method that gets all arguments as one object; every other one gets them by name."""
MODULE = "tool"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


@dataclass(frozen=True, slots=True)
class Source:
    """One unit as the parent defined it."""

    id: str
    text: str
    method: str
    modules: frozenset[str]
    imports: tuple[tuple[str, int], ...]
    """Alias and number."""


class Parameters(NamedTuple):
    """The names that a function takes."""

    required: Set[str]
    names: Set[str]
    hints: dict[str, Any]
    """As written: the same code may get others in the next call."""

    @classmethod
    def of(cls, signature: inspect.Signature, hints: dict[str, Any]) -> "Parameters":
        found = signature.parameters.values()
        required = frozenset(p.name for p in found if p.default is p.empty)
        return cls(required, frozenset(p.name for p in found), hints)


class Mistake(Exception):
    """The call cannot work, for a reason that is the author's; the text says it all."""


class Interrupts:
    """Turns the parent's signal into KeyboardInterrupt, but only where that is safe."""

    def __init__(self) -> None:
        self._handler = self._on_signal
        self.computing = False
        self._exchanging = False
        self._waiting = False

    def arm(self) -> None:
        # The code before may have set a handler of its own.
        if handler_of(signal.SIGINT) is not self._handler:
            signal.signal(signal.SIGINT, self._handler)
        self._waiting = False
        self.computing = True

    def _on_signal(self, number: int, frame: types.FrameType | None) -> None:
        if self._exchanging:
            self._waiting = True
        elif self.computing:
            raise KeyboardInterrupt

    def exchange(self, ask: Callable[[], Any]) -> Any:
        """Return `ask()`; an interrupt that arrives meanwhile is raised afterwards."""
        self._exchanging = True
        try:
            return ask()
        except MemoryError:
            # Half of an answer was read, perhaps: no later message could be trusted.
            os._exit(1)
        finally:
            self._exchanging = False
            if self._waiting:
                self._waiting = False
                raise KeyboardInterrupt


class Channel:
    """Messages to the parent and from it: frames on a socket, and a mailbox if there is one."""

    def __init__(self, mailbox: WorkerEnd | None = None) -> None:
        self._read, self._write = os.read, os.write
        self._mailbox = mailbox
        self._talking = False
        """The parent has invited this side to use the mailbox."""
        self._invited = False
        """Just now."""

    def receive(self) -> Any:
        if self._talking and self._mailbox is not None:
            return self._after_look(self._mailbox.take())
        return self._from_socket()

    def _after_look(self, payload: bytes | bool | None) -> Any:
        """Return the next message, after what looking into the mailbox has brought."""
        if isinstance(payload, bytes):
            if payload:
                return _decode(payload)
            self._write_all(NOTICE)
        self._talking = payload is None
        return self._from_socket()

    def _from_socket(self) -> Any:
        while True:
            (size,) = HEADER.unpack(self._exactly(HEADER.size))
            if size >= INVITATION:
                size -= INVITATION
                self._talking = self._invited = True
            if size:
                return _decode(self._exactly(size))
            if self._mailbox is not None and (noticed := self._mailbox.noticed()):
                self._talking = True
                return _decode(noticed)

    def _exactly(self, size: int) -> bytes:
        data = self._read(CHANNEL, size)
        while len(data) < size:
            more = self._read(CHANNEL, size - len(data))
            if not more:
                os._exit(0)
            data += more
        return data

    def send(self, payload: bytes) -> None:
        frame = HEADER.pack(len(payload)) + payload
        if self._talking and self._mailbox is not None:
            here = frame if len(payload) <= AREA_BYTES else b""
            done = self._mailbox.put(here, self._invited)
            self._talking, self._invited = done is not None, False
            if done:
                return
        self._write_all(frame)

    def exchange(self, payload: bytes) -> Any:
        """Send a message and return the one that answers it."""
        talking = self._talking and not self._invited and len(payload) <= AREA_BYTES
        if talking and self._mailbox is not None:
            answer = self._mailbox.exchange(HEADER.pack(len(payload)) + payload)
            if answer is not True:
                return self._after_look(answer)
        self.send(payload)
        return self.receive()

    def _write_all(self, frame: bytes) -> None:
        data = memoryview(frame)
        while data:
            data = data[self._write(CHANNEL, data) :]


class Machine:
    """The interpreter's side of one worker."""

    def __init__(self, workspace: str, mailbox: WorkerEnd | None) -> None:
        self._workspace = workspace
        self._has_mailbox = mailbox is not None
        self._channel = Channel(mailbox)
        self._interrupts = Interrupts()
        self._sources: dict[int, Source] = {}
        self._compiled: dict[int, types.CodeType] = {}
        self._parameters: dict[types.CodeType, Parameters] = {}
        """Of functions that take their arguments as they come."""
        self._untouched = (0, 0)
        """State of the workspace when nothing is in it."""
        self._importer = Importer(self._host)
        self._output = Output()
        sys.meta_path.insert(0, self._importer)
        sys.meta_path.append(LastWord())

    def run(self) -> None:
        """Serve calls; never returns."""
        if self._workspace:
            os.chdir(self._workspace)
            self._untouched = _state_here()
        self._channel.send(_encode((READY, self._has_mailbox)))
        while True:
            message = self._channel.receive()
            self._channel.send(self._answer(message))
            # Now, when nobody waits.
            self._tidy_up()

    def _host(self, function: str, *args: Any) -> Any:
        """Ask the parent to do something.

        Raises:
            HostError: it refused, or it failed.
        """
        frame = _encode((HOST, function, to_json(list(args), "the arguments")))

        answer = self._interrupts.exchange(lambda: self._channel.exchange(frame))
        if answer[0] == ANSWER:
            return answer[1]
        raise HostError(answer[1])

    def _answer(self, message: list[Any]) -> bytes:
        op, key, limit, args = message[:4]
        definitions = message[5] if len(message) > 4 else None
        for one in definitions or ():
            number, id_, text, method, modules, imports = one
            pairs = tuple((alias, target) for alias, target in imports)
            self._sources[number] = Source(id_, text, method, frozenset(modules), pairs)
        self._prepare(key)
        try:
            self._interrupts.arm()
            function = self._function(self._sources[key], key)
            named = self._sources[key].method != HANDLER
            value = self._result(function, args, named) if op == CALL else True
            payload = _encode((RESULT, value, self._output.text()))
            self._interrupts.computing = False
        except BaseException as error:  # noqa: BLE001 - whatever a guest raises is its failure
            payload = self._failure(error, self._sources[key])
        finally:
            self._interrupts.computing = False
        if len(payload) > limit:
            facts = {"message": "the result is too large", "limit": "result"}
            if payload[1] == RESULT:
                payload = _encode((ERROR, facts))
        return payload

    def _prepare(self, key: int) -> None:
        """Give the call a stage of its own."""
        self._output = sys.stdout = sys.stderr = Output()
        sys.stdin = None
        source = self._sources[key]
        self._importer.granted = source.modules
        self._importer.libraries = {
            alias: functools.partial(self._module, target, alias)
            for alias, target in source.imports
        }

    def _tidy_up(self) -> None:
        """Leave nothing of a call to the next."""
        self._importer.forget()
        if self._workspace and _state_here() != self._untouched:
            os.chdir(self._workspace)
            _empty(self._workspace)

    def _module(self, key: int, name: str) -> types.ModuleType:
        """Run a unit's source in a new module."""
        source = self._sources[key]
        if key not in self._compiled:
            lines = source.text.splitlines(keepends=True)
            linecache.cache[source.id] = (len(source.text), None, lines, source.id)
            self._compiled[key] = compile(source.text, source.id, "exec", dont_inherit=True)
        module = types.ModuleType(name)
        # Dataclasses look their module up by its name.
        sys.modules[name] = module
        exec(self._compiled[key], module.__dict__)  # noqa: S102 - that is what a worker is for
        return module

    def _function(self, source: Source, key: int) -> Callable[..., Any] | None:
        module = self._module(key, MODULE)
        if not source.method:
            return None
        function = getattr(module, source.method, None)
        if not callable(function):
            raise Mistake(f"the source defines no function `{source.method}` at top level")
        found: Callable[..., Any] = function
        return found

    def _result(self, function: Callable[..., Any] | None, args: list[Any], named: bool) -> Any:
        if function is None:
            raise Mistake("the entry has no method to call")
        named = named and len(args) == 1 and isinstance(args[0], dict)
        value = function(**self._arguments(function, args[0])) if named else function(*args)
        if inspect.iscoroutine(value):
            value = python_loop.finish(value)
        return to_json(value)

    def _arguments(self, function: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
        """Fit the arguments to the function's hints and names.

        Raises:
            Mistake: one does not fit.
        """
        code = function.__code__ if isinstance(function, types.FunctionType) else None
        if code is not None:
            known = self._parameters.get(code)
            fits = known is not None and known.required <= given.keys() <= known.names
            if known is not None and fits and function.__annotations__ == known.hints:
                return given
        try:
            fitting = to_types(function, given)
            signature = inspect.signature(function)
            signature.bind(**fitting)
            if isinstance(function, types.FunctionType) and takes_plain_values(function):
                known = Parameters.of(signature, function.__annotations__)
                self._parameters[function.__code__] = known
        except (msgspec.ValidationError, TypeError, NameError) as error:
            raise Mistake(str(error)) from None
        return fitting

    def _failure(self, error: BaseException, source: Source) -> bytes:
        try:
            facts = _facts(error, source)
        except BaseException:  # noqa: BLE001 - an exception's own methods are the guest's too
            facts = {"kind": "Internal", "message": f"{type(error).__name__}: it has no text"}
        facts["printed"] = self._output.text()
        payload = _encode((ERROR, facts))
        if len(payload) > ERROR_BYTES:
            payload = _encode((ERROR, {"kind": "Internal", "message": facts["message"]}))
        return payload


def _facts(error: BaseException, source: Source) -> dict[str, Any]:
    """Say what went wrong and where, without any frame of ours."""
    if isinstance(error, MemoryError):
        return {"message": "out of memory", "limit": "memory"}
    name = type(error).__name__
    text = str(error)[:MESSAGE_CHARACTERS]
    message = text if isinstance(error, Mistake | NotJson) else f"{name}: {text}".removesuffix(": ")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_guests(f.filename)]
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else source.id
    if isinstance(error, SyntaxError) and error.filename == source.id:
        where, message = f"{source.id}:{error.lineno}", f"SyntaxError: {error.msg}"
    details: dict[str, Any] = {"type": name, "message": text}
    if frames:
        details["traceback"] = "".join(traceback.format_list(frames[-TRACEBACK_FRAMES:]))[-4000:]
    if isinstance(error, HostError):
        extra = error.details if isinstance(error.details, dict) else {}
        retryable = error.retryable if isinstance(error.retryable, bool) else None
        facts = {"kind": error.kind, "retryable": retryable, "details": {**details, **extra}}
        return {**facts, "message": text, "where": where}
    kind = "Invalid" if isinstance(error, Mistake | NotJson) else "Internal"
    return {"kind": kind, "message": message, "details": to_json(details), "where": where}


def _is_guests(filename: str) -> bool:
    """Whether a frame belongs to a unit: those have registry ids for file names."""
    return ":" in filename and not filename.startswith(("/", "<"))


def _state_here() -> tuple[int, int]:
    """Return which directory this is, and how much is in it: a memory file system counts that."""
    facts = os.stat(".")
    return facts.st_ino, facts.st_size


def _empty(workspace: str) -> None:
    for entry in os.scandir(workspace):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            os.unlink(entry.path)


def serve_calls(workspace: str, mailbox: WorkerEnd | None) -> None:
    """Be a worker: this process belongs to the parent's calls from here on."""
    # What was loaded for us is not for guests to import.
    for name in [n for n in sys.modules if n.partition(".")[0] == "micro_agi"]:
        del sys.modules[name]
    sys.argv = [MODULE]
    # The standard library's generator starts anew in a forked process, numpy's does not.
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()
    Machine(workspace, mailbox).run()
