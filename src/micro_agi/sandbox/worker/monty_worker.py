"""Speak for Monty: take a call from the parent, have Monty run it, answer.

Each call has a session of its own in the interpreter, so nothing lasts from one to the next. What
Monty hands over are plain values, which are checked as those of CPython workers are; the modules
that a tool was granted are host functions here, and each of their calls asks the parent.

An interrupt ends this process, and with it the interpreter: neither holds anything worth saving.
Source: spec/sandbox.md 3; the protocol is `wire.py`'s.
"""

import importlib
import os
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from micro_agi.sandbox.wire import ANSWER, CALL, ERROR, HOST, READY, RESULT
from micro_agi.sandbox.worker import monty_source
from micro_agi.sandbox.worker.monty_source import NotInMonty
from micro_agi.sandbox.worker.python_modules import PROXIES, HostError, Response
from micro_agi.sandbox.worker.python_output import Output
from micro_agi.sandbox.worker.python_values import NotJson, to_json
from micro_agi.sandbox.worker.python_worker import (
    ERROR_BYTES,
    HANDLER,
    MESSAGE_CHARACTERS,
    TRACEBACK_FRAMES,
    Channel,
    Mistake,
    Source,
)

GIVEN = "_given_arguments"
RECURSION = 500
"""Frames. Monty's own default is 1,000; half of that leaves its stack twice the room."""
ROUND_TRIPS = 4_000
"""Calls out of Monty in one session; the parent counts host calls, and stops at fewer."""
SLEEP_S = 60.0
TOO_LONG = "feed time limit exceeded"

OF_THE_SOURCE = (
    *(NotInMonty, Mistake, NotJson, SyntaxError, ImportError, ValueError),
    *(MemoryError, RecursionError),
)
"""What a source can cause on this side, while it is read or its result is. Anything else is our
mistake, and ends the worker."""

_encode = msgspec.msgpack.Encoder().encode


def load() -> None:
    """Import the client of Monty: once in the zygote, for all workers."""
    importlib.import_module("pydantic_monty")


def serve_calls(
    program: str, *, memory_bytes: int, wall_s: float, ready: Callable[[int], None]
) -> None:
    """Start Monty, have it and this process locked by `ready`, and serve; never returns."""
    import pydantic_monty as monty

    limits = monty.ResourceLimits(
        max_memory=memory_bytes,
        max_feed_duration_secs=wall_s,
        max_recursion_depth=RECURSION,
        max_suspensions=ROUND_TRIPS,
        max_total_sleep_secs=SLEEP_S,
    )
    pool = monty.Monty(binary_path=program, max_processes=1)
    with pool:
        with pool.checkout(limits=limits) as session:
            # Whatever starts late in it has started after this.
            session.feed_run("1")
            interpreter = session.worker_pid
        assert interpreter is not None, "it is a process of this machine"
        ready(interpreter)
        Speaker(monty, pool, limits).run()


class Speaker:
    """This side of one interpreter. `monty` is the package `pydantic_monty`."""

    def __init__(self, monty: Any, pool: Any, limits: Any) -> None:
        self._monty = monty
        self._pool = pool
        self._limits = limits
        self._channel = Channel()
        self._sources: dict[int, Source] = {}
        self._refused: HostError | None = None
        self._output = Output()

    def run(self) -> None:
        """Serve calls; never returns."""
        self._channel.send(_encode((READY, False)))
        while True:
            self._channel.send(self._answer(self._channel.receive()))

    def _answer(self, message: list[Any]) -> bytes:
        op, key, limit, args = message[:4]
        for one in (message[5] if len(message) > 4 else None) or ():
            number, id_, text, method, modules, imports = one
            pairs = tuple((alias, target) for alias, target in imports)
            self._sources[number] = Source(id_, text, method, frozenset(modules), pairs)
        source = self._sources[key]
        self._output, self._refused = Output(), None
        call = _Call(source, self._monty, self._output)
        try:
            value = call.run(self._session(source), args if op == CALL else None)
            payload = _encode((RESULT, to_json(value), self._output.text()))
        except self._monty.MontyCrashedError:
            # The parent sees that the worker ended, and that is what happened.
            os._exit(1)
        except (self._monty.MontyError, *OF_THE_SOURCE) as error:
            payload = self._failure(error, call)
        if len(payload) > limit and payload[1] == RESULT:
            payload = _encode((ERROR, {"message": "the result is too large", "limit": "result"}))
        return payload

    def _session(self, source: Source) -> Any:
        modules = {
            name: self._monty.ExternalModule(self._functions(vars(PROXIES[name](self._host))))
            for name in source.modules & PROXIES.keys()
        }
        return self._pool.checkout(
            limits=self._limits, external_modules=modules, assert_message_annotations=False
        )

    def _functions(self, module: Mapping[str, Any]) -> dict[str, Any]:
        """Return a module's functions, with answers as objects that Monty can look into."""

        def shown(function: Callable[..., Any]) -> Callable[..., Any]:
            return lambda *args, **named: self._shown(function(*args, **named))

        return {
            name: shown(value)
            for name, value in module.items()
            if callable(value) and not isinstance(value, type)
        }

    def _shown(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._shown(each) for each in value]
        if isinstance(value, Response):
            names = {*value, "body", "headers", "cookies"}
            methods = {"json", "get"}
            return self._monty.ClassInstance(value, eager_attrs=names, allowed_methods=methods)
        if isinstance(value, HostError):
            return self._monty.ClassInstance(
                value, eager_attrs={"kind", "retryable", "details", "message"}
            )
        return value

    def _host(self, function: str, *args: Any) -> Any:
        """Ask the parent to do something.

        Raises: HostError: it refused, or it failed.
        """
        self._channel.send(_encode((HOST, function, to_json(list(args), "the arguments"))))
        answer = self._channel.receive()
        if answer[0] == ANSWER:
            return answer[1]
        self._refused = HostError(answer[1])
        raise self._refused

    def _failure(self, error: Exception, call: "_Call") -> bytes:
        inner = error.exception() if isinstance(error, self._monty.MontyError) else error
        if isinstance(inner, MemoryError):
            facts: dict[str, Any] = {"message": "out of memory", "limit": "memory"}
        elif isinstance(inner, TimeoutError) and TOO_LONG in str(inner):
            facts = {"message": str(inner), "limit": "wall"}
        else:
            facts = self._facts(error, inner, call)
        facts["printed"] = self._output.text()
        payload = _encode((ERROR, facts))
        if len(payload) > ERROR_BYTES:
            payload = _encode((ERROR, {"kind": "Internal", "message": facts["message"]}))
        return payload

    def _facts(self, error: Exception, inner: BaseException, call: "_Call") -> dict[str, Any]:
        text = str(inner)[:MESSAGE_CHARACTERS]
        name = type(inner).__name__
        frames = call.frames(error)
        line = frames[-1].lineno if frames else None
        unsupported = monty_source.UNSUPPORTED.match(text)
        if isinstance(inner, NotImplementedError) and unsupported:
            inner = NotInMonty(unsupported[1], line or 0)
        if isinstance(inner, NotInMonty):
            where = f"{call.source.id}:{inner.line}" if inner.line else call.source.id
            advice = {"code": "tool.failed", "where": where, "fix": monty_source.FIX}
            return {"kind": "Invalid", "message": str(inner), "details": advice, "where": where}
        if isinstance(inner, SyntaxError):
            text, line = inner.msg, inner.lineno or line
        where = f"{call.source.id}:{line}" if line else call.source.id
        details: dict[str, Any] = {"type": name, "message": text}
        if frames:
            shown = traceback.format_list(frames[-TRACEBACK_FRAMES:])
            details["traceback"] = "".join(shown)[-MESSAGE_CHARACTERS:]
        refused = self._refused
        if refused is not None and text == str(refused):
            details["type"] = type(refused).__name__
            extra = refused.details if isinstance(refused.details, dict) else {}
            retryable = refused.retryable if isinstance(refused.retryable, bool) else None
            facts = {"kind": refused.kind, "retryable": retryable, "message": text, "where": where}
            return {**facts, "details": {**details, **extra}}
        honest = isinstance(inner, Mistake | NotJson)
        message = text if honest else f"{name}: {text}".removesuffix(": ")
        kind = "Invalid" if honest else "Internal"
        return {"kind": kind, "message": message, "details": details, "where": where}


class _Call:
    """One call in one session: the snippets it is made of, and which of them is the guest's."""

    def __init__(self, source: Source, monty: Any, output: Output) -> None:
        self.source = source
        self._monty = monty
        self._output = output
        self._fed = 0
        self._name = ""
        """What Monty calls the source in tracebacks."""

    def run(self, checkout: Any, args: list[Any] | None) -> Any:
        """Load the source and find its function; with `args`, call it."""
        source = self.source
        tree = monty_source.parsed(source.text, source.id)
        for package in monty_source.PACKAGES:
            if package in source.modules:
                raise NotInMonty(f"module `{package}`")
        aliases = frozenset(alias for alias, _ in source.imports)
        with checkout as session:
            for name, line in dict(monty_source.imports(tree)).items():
                try:
                    self._feed(session, f"import {name}")
                except self._monty.MontyRuntimeError as error:
                    problem = monty_source.missing(name, source.modules, aliases, line)
                    raise problem from error
            self._name = f"<python-input-{self._fed}>"
            self._feed(session, source.text)
            if not source.method:
                return True
            try:
                self._feed(session, source.method)
            except self._monty.MontyRuntimeError as error:
                what = f"the source defines no function `{source.method}` at top level"
                raise Mistake(what) from error
            if args is None:
                return True
            named = source.method != HANDLER and len(args) == 1 and isinstance(args[0], dict)
            call = f"{source.method}({'**' if named else '*'}{GIVEN})"
            if monty_source.is_async(tree, source.method):
                call = f"await {call}"
            return self._feed(session, call, inputs={GIVEN: args[0] if named else args})

    def _feed(self, session: Any, text: str, **options: Any) -> Any:
        self._fed += 1
        return session.feed_run(text, print_callback=self._print, **options)

    def _print(self, stream: str, text: str) -> None:
        self._output.write(text)

    def frames(self, error: Exception) -> list[traceback.FrameSummary]:
        """Return the guest's own frames, the innermost last."""
        known = self._monty.MontyRuntimeError, self._monty.MontySyntaxError
        if not isinstance(error, known):
            return []
        return [
            traceback.FrameSummary(
                self.source.id, f.line, f.function_name or "<module>", line=f.source_line or ""
            )
            for f in error.traceback()
            if f.filename == self._name
        ]
