"""Answer one tool call of a model: parse, validate, ask, run, and say what came back.

Never raises for what the model or its tool did: every outcome is a `ToolCallFinished`
that the model reads, with an error's what, where and fix when it failed. This is the
first of the three edges that catch everything (STYLE 5.7).
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from micro_agi.errors import ArgumentsInvalid, EntryNotFound, MicroAgiError, ToolFailed
from micro_agi.messages import (
    AnyEvent,
    ApprovalAsked,
    ToolCall,
    ToolCallFinished,
    ToolCallStarted,
    ToolSpec,
)
from micro_agi.sandbox.failure import facts_of
from micro_agi.security.context import CallContext
from micro_agi.tools.approve import Approvals
from micro_agi.tools.functions import Functions, NativeFunction
from micro_agi.tools.results import Results
from micro_agi.tools.schemas import Schemas, without_placeholder
from micro_agi.values import content_hash, nearest

Emit = Callable[[AnyEvent], Awaitable[None]]
Fill = Callable[[CallContext, Mapping[str, Any]], Mapping[str, Any]]
IDEMPOTENCY_KEY = "idempotency_key"
"""In what `ctx` shows to a tool that its operator calls idempotent."""


class ToolCaller:
    """Runs tool calls against one registry; shared by all sessions of a runtime."""

    def __init__(
        self,
        functions: Functions,
        results: Results,
        schemas: Schemas,
        *,
        clock: Callable[[], float] = time.monotonic,
        environment: Fill = lambda _, values: values,
    ) -> None:
        """Take what calls need; `environment` fills its variables into a tool's context."""
        self._functions = functions
        self.results = results
        self.schemas = schemas
        self._clock = clock
        self._environment = environment

    def started(self, call: ToolCall, tools: Mapping[str, ToolSpec]) -> ToolCallStarted:
        """Return the intent event of a call, to be committed before `run`."""
        spec = tools.get(call.name)
        try:
            arguments: Any = parse_arguments(call)
        except ArgumentsInvalid:
            arguments = call.arguments
        if spec is None:
            return ToolCallStarted(
                call_id=call.id, name=call.name, tool="", arguments=arguments, replayable=True
            )
        try:
            entry = self._functions.registry.get(spec.id)
        except EntryNotFound:
            return ToolCallStarted(
                call_id=call.id, name=call.name, tool=spec.id, arguments=arguments, replayable=True
            )
        return ToolCallStarted(
            call_id=call.id,
            name=call.name,
            tool=spec.id,
            arguments=arguments,
            tool_hash=entry.hash,
            replayable=self._functions.replayable(entry),
            idempotent=self._functions.idempotent(entry),
        )

    async def run(
        self,
        call: ToolCall,
        tools: Mapping[str, ToolSpec],
        context: CallContext,
        *,
        approvals: Approvals,
        emit: Emit,
        session: Mapping[str, Any] | None = None,
        local: Mapping[str, NativeFunction] | None = None,
    ) -> ToolCallFinished:
        """Run one call to its end and return what the model reads.

        `emit` gets the approval events that arise before the call starts. `session` is
        context that wins over the tool's own (spec/agent.md 4), `local` what the caller
        answers itself, by entry id.
        """
        watch = _Stopwatch(self._clock)
        tool = tools[call.name].id if call.name in tools else ""

        async def emit_and_watch(event: AnyEvent) -> None:
            watch.pause(asking=isinstance(event, ApprovalAsked))
            await emit(event)

        printed: list[str] = []
        around = _Around(approvals, emit_and_watch, printed.append, session or {}, local or {})
        try:
            value = await self._value(call, tools, context, around)
        except MicroAgiError as error:
            return failed_call(call, tool, error, watch.seconds(), printed="".join(printed))
        except Exception as error:  # noqa: BLE001 - the edge of one tool call: say it, go on
            bug = ToolFailed(
                f"the tool failed inside the runtime: {type(error).__name__}: {error}",
                where=tool,
                fix="this is a bug of micro-agi; the journal of the session has the call",
            )
            return failed_call(call, tool, bug, watch.seconds())
        text = value if isinstance(value, str) else as_text(value)
        if printed:
            text = f"{text}\n\nprinted:\n{''.join(printed)}"
        shown = await self.results.shown_to(text, context)
        return ToolCallFinished(
            call_id=call.id,
            name=call.name,
            tool=tool,
            content=shown,
            result=value if shown is text else None,
            error=_reported_error(value, tool),
            duration_s=watch.seconds(),
        )

    async def _value(
        self,
        call: ToolCall,
        tools: Mapping[str, ToolSpec],
        context: CallContext,
        around: "_Around",
    ) -> Any:
        if call.problem:
            raise ArgumentsInvalid(
                call.problem, where=f"tool call {call.id}", fix="write the call again"
            )
        spec = tools.get(call.name)
        if spec is None:
            near = nearest(call.name, tools) or sorted(tools)[:8]
            raise EntryNotFound(
                f"there is no tool `{call.name}`",
                where=f"tool call {call.id}",
                fix=f"loaded tools like it: {', '.join(near)}" if near else "no tool is loaded",
            )
        arguments = parse_arguments(call)
        self.schemas.validate(spec, arguments)
        arguments = without_placeholder(spec, arguments)
        key = self._once(spec, call, context)
        called = context.narrowed(
            call_id=call_key(context, call),
            idempotency_key=key,
            values={
                **context.values,
                **self.filled(context, spec.context),
                **around.session,
                "call_id": call.id,
                **({IDEMPOTENCY_KEY: key} if key else {}),
            },
        )
        if spec.id in around.local:
            called.forbid_denied("funcs.call", spec.id)
            return await around.local[spec.id](arguments, called)
        return await self._functions.call(
            spec.id,
            [arguments],
            called,
            approvals=around.approvals,
            emit=around.emit,
            printed=around.printed,
        )

    def filled(self, context: CallContext, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return values with the environment variables that they name, for this call only."""
        return self._environment(context, values)

    def _once(self, spec: ToolSpec, call: ToolCall, context: CallContext) -> str:
        """Return the key under which a call of an idempotent tool runs; "" for other tools."""
        registry = self._functions.registry
        if spec.id not in registry.snapshot() or not self._functions.idempotent(
            registry.get(spec.id)
        ):
            return ""
        return content_hash([context.session, call_key(context, call)])[:32]


class _Around(Struct, frozen=True):
    """What one call needs besides itself."""

    approvals: Approvals
    emit: Emit
    printed: Callable[[str], None]
    session: Mapping[str, Any]
    local: Mapping[str, NativeFunction]


class _Stopwatch:
    """Measures a call; the time that a person thinks about a question is not the tool's."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._running_since: float | None = clock()
        self._measured = 0.0

    def pause(self, *, asking: bool) -> None:
        """Stop while a question is open, go on once it is answered."""
        now = self._clock()
        if self._running_since is not None:
            self._measured += now - self._running_since
        self._running_since = None if asking else now

    def seconds(self) -> float:
        """Return what was measured so far."""
        self.pause(asking=False)
        return self._measured


def failed_call(
    call: ToolCall,
    tool: str,
    error: MicroAgiError,
    duration_s: float = 0.0,
    *,
    printed: str = "",
) -> ToolCallFinished:
    """Return the outcome of a call that failed, with the error as the model reads it."""
    facts = {**error.as_dict(), **_python_facts(error, printed)}
    return ToolCallFinished(
        call_id=call.id,
        name=call.name,
        tool=tool,
        content=as_text({"error": facts}),
        error=facts,
        duration_s=duration_s,
    )


def _python_facts(error: MicroAgiError, printed: str) -> dict[str, str]:
    """Return what Python code leaves behind when it fails: its own frames, and its prints."""
    details = facts_of(error).details
    known = details if isinstance(details, Mapping) else {}
    left = {"traceback": known.get("traceback"), "printed": printed or known.get("printed")}
    return {name: text for name, text in left.items() if text and isinstance(text, str)}


def call_key(context: CallContext, call: ToolCall) -> str:
    """Return what names a call in its session for ever: some models reuse their own ids."""
    return f"{context.call_id}/{call.id}"


def parse_arguments(call: ToolCall) -> dict[str, Any]:
    """Return a call's arguments as an object; empty text means none.

    Raises: ArgumentsInvalid when they are no JSON, or no object.
    """
    if not call.arguments.strip():
        return {}
    try:
        value = msgspec.json.decode(call.arguments)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ArgumentsInvalid(
            f"the arguments of `{call.name}` are not JSON: {error}",
            where=f"tool call {call.id}",
            fix="send one JSON object",
        ) from error
    if not isinstance(value, dict):
        raise ArgumentsInvalid(
            f"the arguments of `{call.name}` are no JSON object",
            where=f"tool call {call.id}",
            fix="send one JSON object",
        )
    return value


def as_text(value: Any) -> str:
    """Encode a result for the model: compact JSON, keys in the order the tool gave."""
    return msgspec.json.encode(value).decode()


def _reported_error(value: Any, tool: str) -> dict[str, Any] | None:
    """Return the error that a tool reports as `{error = …}`: the seeds' tools fail that way."""
    if not isinstance(value, Mapping) or not value.get("error"):
        return None
    said = value["error"]
    if isinstance(said, Mapping) and "what" in said:
        return dict(said)
    text = said if isinstance(said, str) else as_text(said)
    return dict(ToolFailed(text, where=tool).as_dict())
