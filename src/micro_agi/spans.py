"""OpenTelemetry spans of turns, steps, tools and host calls, with the GenAI conventions.

Off unless asked for: then nothing of this module is imported and no event is looked at. On,
spans are made from the events of a session as they are committed, which holds no secret, and
around the host functions. Texts, arguments and results are left out unless `content` is set.

Source: OpenTelemetry semantic conventions for generative AI (spans `invoke_agent`, `chat`,
`execute_tool`); DESIGN 13, 14; decisions/0043-spans-from-events.md.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
)
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from micro_agi.errors import InputInvalid, MicroAgiError
from micro_agi.messages import (
    AnyEvent,
    Compacted,
    Delegated,
    StepFinished,
    StepStarted,
    ToolCallFinished,
    ToolCallStarted,
    TurnFinished,
    TurnResumed,
    TurnStarted,
)
from micro_agi.sandbox.host.calls import HostCall, HostFunction

SERVICE = "micro-agi"
FILE = "file"
NAMES = {"google": "gcp.gemini"}
"""Providers whose name in the conventions is not ours."""

Where = tuple[str, str]
"""A turn: the session, and the key of the call that a delegate answers, or ""."""


class _Turn(Struct):
    """A turn that runs."""

    span: Span
    number: int
    agent: str
    step: int = 0
    request: Span | None = None
    """Of the model request in flight."""
    tools: dict[str, Span] = field(default_factory=dict)
    """By the model's id of the call."""


class Spans:
    """Makes spans. One for a runtime; `close` sends what waits."""

    def __init__(
        self,
        provider: TracerProvider,
        *,
        content: bool = False,
        provider_of: Callable[[str], str] = lambda _: "",
        owned: bool = False,
    ) -> None:
        """Take the provider of tracers; with `owned` it is shut down by `close`.

        `provider_of` turns the name of a model into that of its provider.
        """
        self._provider = provider
        self._owned = owned
        self._tracer: Tracer = provider.get_tracer(SERVICE)
        self._content = content
        self._provider_of = provider_of
        self._turns: dict[Where, _Turn] = {}
        self._calls: dict[Where, Span] = {}
        """Tool calls in flight, by session and the call's key."""

    def close(self) -> None:
        """Send what waits."""
        if self._owned:
            self._provider.shutdown()

    def event(self, session: str, event: AnyEvent) -> None:
        """Take note of an event of a session."""
        self._take((session, ""), event)

    def around(self, functions: Mapping[str, HostFunction]) -> dict[str, HostFunction]:
        """Return host functions that make a span for each call, below their tool's."""
        return {name: replace(f, run=self._traced(f)) for name, f in functions.items()}

    def _traced(self, function: HostFunction) -> Callable[[HostCall], Any]:
        async def run(call: HostCall) -> Any:
            context = call.context
            span = self._start(
                f"host_call {call.function}",
                self._calls.get((context.session, context.call_id)),
                {"micro_agi.host.function": call.function, "micro_agi.entry.id": call.unit.id},
            )
            if self._content:
                span.set_attribute("micro_agi.host.arguments", _text(call.args))
            try:
                return await function.run(call)
            except MicroAgiError as error:
                _failed(span, error.code)
                raise
            finally:
                span.end()

        return run

    def _take(self, where: Where, event: AnyEvent) -> None:
        turn = self._turns.get(where)
        match event:
            case TurnStarted() | TurnResumed():
                self._begin(where, event)
            case Delegated() if turn:
                inner = (where[0], f"{self._key(where, turn, event.call_id)}>")
                self._take(inner, event.event)
            case StepStarted() if turn:
                self._request(turn, where, event)
            case StepFinished() if turn:
                self._replied(turn, event)
            case ToolCallStarted() if turn:
                self._calling(where, turn, event)
            case ToolCallFinished() if turn:
                self._called(where, turn, event)
            case Compacted() if event.model:
                self._summarised(where, turn, event)
            case TurnFinished() if turn:
                self._end(where, turn, event)
            case _:
                pass

    def _begin(self, where: Where, event: TurnStarted | TurnResumed) -> None:
        left = self._turns.pop(where, None)
        if left is not None:  # its session broke off without an end
            self._close(where, left)
        agent = event.agent if isinstance(event, TurnStarted) else ""
        span = self._start(
            f"invoke_agent {agent}".strip(),
            self._calls.get((where[0], where[1].removesuffix(">"))),
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.id": agent,
                "gen_ai.conversation.id": where[0],
                "micro_agi.turn": event.turn,
                "micro_agi.resumed": isinstance(event, TurnResumed),
            },
        )
        if self._content and isinstance(event, TurnStarted):
            span.set_attribute("gen_ai.input.messages", _text([event.message]))
        self._turns[where] = _Turn(span, event.turn, agent)

    def _request(self, turn: _Turn, where: Where, event: StepStarted) -> None:
        turn.step = event.step
        turn.request = self._chat(event.model, where, turn.span, {"micro_agi.step": event.step})

    def _chat(
        self,
        model: str,
        where: Where,
        parent: Span | None,
        more: Mapping[str, Any],
        *,
        began: int | None = None,
    ) -> Span:
        provider = self._provider_of(model)
        return self._start(
            f"chat {model}",
            parent,
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": NAMES.get(provider, provider),
                "gen_ai.request.model": model,
                "gen_ai.conversation.id": where[0],
                **more,
            },
            kind=SpanKind.CLIENT,
            began=began,
        )

    def _summarised(self, where: Where, turn: _Turn | None, event: Compacted) -> None:
        """Make the span of a summariser's request, which is no step, once it is over."""
        span = self._chat(
            event.model,
            where,
            turn.span if turn else None,
            {"micro_agi.purpose": "compaction"},
            began=time.time_ns() - int(event.seconds * 1e9),
        )
        span.set_attributes(_spent(event))
        if event.by != event.model:  # it failed, or what it wrote is no summary
            _failed(span, "no_summary")
        if self._content:
            span.set_attribute("gen_ai.output.messages", _text(event.summary))
        span.end()

    def _replied(self, turn: _Turn, event: StepFinished) -> None:
        span, turn.request = turn.request, None
        if span is None:
            return
        span.set_attribute("gen_ai.response.finish_reasons", [event.finish_reason])
        span.set_attributes(_spent(event))
        if self._content:
            span.set_attribute("gen_ai.output.messages", _text([event.message]))
        span.end()

    def _calling(self, where: Where, turn: _Turn, event: ToolCallStarted) -> None:
        span = self._tool(turn, event.name, event.tool, event.call_id, None)
        if self._content:
            span.set_attribute("gen_ai.tool.call.arguments", _text(event.arguments))
        turn.tools[event.call_id] = self._calls[where[0], self._key(where, turn, event.call_id)] = (
            span
        )

    def _tool(self, turn: _Turn, name: str, tool: str, call_id: str, began: int | None) -> Span:
        return self._start(
            f"execute_tool {name}",
            turn.span,
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": name,
                "gen_ai.tool.type": "function",
                "gen_ai.tool.call.id": call_id,
                "micro_agi.entry.id": tool,
            },
            began=began,
        )

    def _called(self, where: Where, turn: _Turn, event: ToolCallFinished) -> None:
        self._calls.pop((where[0], self._key(where, turn, event.call_id)), None)
        span = turn.tools.pop(event.call_id, None)
        if span is None:  # its turn was cut off and goes on in this process
            began = time.time_ns() - int(event.duration_s * 1e9)
            span = self._tool(turn, event.name, event.tool, event.call_id, began)
        if event.error is not None:
            _failed(span, str(event.error.get("code") or "error"))
        if self._content:
            span.set_attribute("gen_ai.tool.call.result", event.content)
        span.end()

    def _end(self, where: Where, turn: _Turn, event: TurnFinished) -> None:
        del self._turns[where]
        turn.span.set_attributes(
            {
                "gen_ai.usage.input_tokens": event.usage.window,
                "gen_ai.usage.output_tokens": event.usage.completion,
                "micro_agi.outcome": event.outcome,
                "micro_agi.steps": event.steps,
            }
        )
        if event.outcome == "failed":
            _failed(turn.span, "failed")
        self._close(where, turn)

    def _close(self, where: Where, turn: _Turn) -> None:
        for call_id in turn.tools:
            self._calls.pop((where[0], self._key(where, turn, call_id)), None)
        for span in (turn.request, *turn.tools.values(), turn.span):
            if span is not None:
                span.end()

    def _key(self, where: Where, turn: _Turn, call_id: str) -> str:
        """Return the call's key as its `CallContext` has it (`tools.call.call_key`)."""
        return f"{where[1]}{turn.number}.{turn.step}/{call_id}"

    def _start(
        self,
        name: str,
        parent: Span | None,
        attributes: Mapping[str, Any],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        began: int | None = None,
    ) -> Span:
        context = set_span_in_context(parent) if parent is not None else None
        kept = {key: value for key, value in attributes.items() if value != ""}
        return self._tracer.start_span(
            name, context=context, kind=kind, attributes=kept, start_time=began
        )


def open_spans(to: str, *, logs: Path, content: bool, provider_of: Callable[[str], str]) -> Spans:
    """Make spans that go to a file in `logs`, or to a collector's URL (OTLP over HTTP).

    Raises: InputInvalid when `to` is neither.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": SERVICE}))
    provider.add_span_processor(BatchSpanProcessor(_exporter(to, logs)))
    return Spans(provider, content=content, provider_of=provider_of, owned=True)


def _exporter(to: str, logs: Path) -> SpanExporter:
    if to == FILE:
        return _File(logs / "spans.jsonl")
    if not to.startswith(("http://", "https://")):
        raise InputInvalid(
            f"`{to}` is no place for spans",
            where="otel",
            fix=f"give `{FILE}`, or the URL of a collector such as http://127.0.0.1:4318",
        )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=f"{to.rstrip('/')}/v1/traces")


class _File(ConsoleSpanExporter):
    """Appends one line of JSON for each span to a file that only its owner can read."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._file = path.open("a", encoding="utf-8")
        super().__init__(out=self._file, formatter=lambda span: span.to_json(indent=None) + "\n")

    def shutdown(self) -> None:
        self._file.close()


def _spent(event: StepFinished | Compacted) -> dict[str, float]:
    """Return the tokens and the money of a model request, if it has a price."""
    found: dict[str, float] = {
        "gen_ai.usage.input_tokens": event.usage.window,
        "gen_ai.usage.output_tokens": event.usage.completion,
    }
    return found if event.cost_usd is None else found | {"micro_agi.cost_usd": event.cost_usd}


def _failed(span: Span, code: str) -> None:
    span.set_attribute("error.type", code)
    span.set_status(Status(StatusCode.ERROR))


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
