"""A model that is a script: the demo speaks through it, and tests are written with it.

It is a provider like others, so everything but the intelligence is real: requests are
prepared and hashed, replies are streamed, errors are raised, usage and cost are counted.

A reply is text, or pieces in order: text, `Thinking`, `Call`, `Finish`, `Spent`, `Broken`
or an error to raise. A script is a list of replies, one for each request, or functions of
the request that return one (or an awaitable of one); or a single such function.
"""

import hashlib
import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from msgspec import Struct, field

from micro_agi.errors import MicroAgiError
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.failure import provider_error
from micro_agi.llm.request import ModelRequest, OnEvent, PreparedRequest, Reply
from micro_agi.messages import (
    FinishReason,
    Message,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolSpec,
    Usage,
)
from micro_agi.net.client import Client
from micro_agi.values import canonical_json

PROVIDER = "scripted"
BYTES_PER_TOKEN = 4


class Thinking(Struct, frozen=True):
    """A piece of thinking."""

    text: str


class Call(Struct, frozen=True):
    """A tool call. Arguments are an object, or text to be malformed on purpose."""

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    id: str = ""
    """Empty means one made from the request's hash: the same in a replay, else unique."""


class Finish(Struct, frozen=True):
    """The finish reason, when it is not the natural one."""

    reason: FinishReason


class Spent(Struct, frozen=True):
    """The usage to report, instead of an estimate."""

    usage: Usage


class Broken(Struct, frozen=True):
    """The connection breaks off here."""


Piece: TypeAlias = str | Thinking | Call | Finish | Spent | Broken | MicroAgiError
ScriptedReply: TypeAlias = Piece | Iterable[Piece] | AsyncIterable[Piece]


class Asked(Struct, frozen=True):
    """What a script's function is given."""

    number: int
    """Of the request, counted from 0."""
    request: ModelRequest

    @property
    def messages(self) -> Sequence[Message]:
        """The conversation."""
        return self.request.messages

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """The tools the model may call."""
        return self.request.tools

    @property
    def last(self) -> Message:
        """The newest message."""
        return self.request.messages[-1]


Answer: TypeAlias = Callable[[Asked], "ScriptedReply | Awaitable[ScriptedReply]"]
Step: TypeAlias = "ScriptedReply | Answer"


class ScriptedModel:
    """A provider that answers from a script and keeps every request it was asked."""

    def __init__(self, script: Sequence[Step] | Answer) -> None:
        self._script = script
        self.requests: list[ModelRequest] = []
        """Every request sent, with the messages as they were then."""

    def prepare(self, request: ModelRequest) -> PreparedRequest:
        """Encode the request; equal requests have equal hashes."""
        body = canonical_json(
            {
                "model": request.model.provider_model,
                "system": request.system,
                "messages": list(request.messages),
                "tools": [tool.name for tool in request.tools],
            }
        )
        digest = hashlib.sha256(body).hexdigest()
        return PreparedRequest(request=request, url="scripted:", body=body, hash=digest)

    async def send(self, client: Client, prepared: PreparedRequest, on_event: OnEvent) -> Reply:
        """Answer with the script's next reply."""
        request = _snapshot(prepared.request)
        number = len(self.requests)
        self.requests.append(request)
        pieces = _Pieces(f"call_{prepared.hash[:16]}")
        async for piece in _stream(await self._answer(Asked(number, request))):
            pieces.take(piece, on_event)
        return pieces.reply(prepared)

    async def _answer(self, asked: Asked) -> ScriptedReply:
        if callable(self._script):
            step: Step = self._script
        elif asked.number < len(self._script):
            step = self._script[asked.number]
        else:
            raise provider_error(
                "invalid_request",
                f"the script has {len(self._script)} replies and was asked once more",
                where=PROVIDER,
                fix="add a reply to the script, or end the turn earlier",
            )
        if not callable(step):
            return step
        answer = step(asked)
        return await answer if inspect.isawaitable(answer) else answer


def scripted_card(name: str = PROVIDER, **fields: Any) -> ModelCard:
    """Return a model card that is answered by the provider `scripted`."""
    usual: dict[str, Any] = {
        "title": "Scripted model",
        "capabilities": ("generate", "tool_use"),
        "max_tokens": 128_000,
        "output_tokens": 16_000,
        "provider": PROVIDER,
        "provider_model": name,
    }
    return ModelCard(name=name, **(usual | fields))


class _Pieces:
    """Collects one reply and streams it."""

    def __init__(self, ids: str) -> None:
        self._ids = ids
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[ToolCall] = []
        self._finish: FinishReason | None = None
        self._usage: Usage | None = None

    def take(self, piece: Piece, on_event: OnEvent) -> None:
        match piece:
            case str():
                self._text.append(piece)
                on_event(TextDelta(text=piece))
            case Thinking(text):
                self._thinking.append(text)
                on_event(ThinkingDelta(text=text))
            case Call():
                self._calls.append(self._call(piece))
            case Finish(reason):
                self._finish = reason
            case Spent(usage):
                self._usage = usage
            case Broken():
                raise provider_error(
                    "network_error", "the model's reply broke off before its end", where=PROVIDER
                )
            case MicroAgiError():
                raise piece

    def reply(self, prepared: PreparedRequest) -> Reply:
        text, thinking = "".join(self._text), "".join(self._thinking)
        written = len(text) + len(thinking) + sum(len(c.arguments) for c in self._calls)
        usage = self._usage or Usage(
            prompt=len(prepared.body) // BYTES_PER_TOKEN,
            completion=written // BYTES_PER_TOKEN + 1,
            thinking=len(thinking) // BYTES_PER_TOKEN,
        )
        return Reply(
            text=text,
            thinking=thinking,
            tool_calls=tuple(self._calls),
            usage=usage,
            finish_reason=self._finish or ("tool_call" if self._calls else "stop"),
        )

    def _call(self, call: Call) -> ToolCall:
        arguments = call.arguments
        text = arguments if isinstance(arguments, str) else canonical_json(arguments).decode()
        id_ = call.id or f"{self._ids}_{len(self._calls)}"
        return ToolCall(id=id_, name=call.name, arguments=text)


async def _stream(reply: ScriptedReply) -> AsyncIterable[Piece]:
    if isinstance(reply, AsyncIterable):
        async for piece in reply:
            yield piece
    elif isinstance(reply, str | Thinking | Call | Finish | Spent | Broken | MicroAgiError):
        yield reply
    else:
        for piece in reply:
            yield piece


def _snapshot(request: ModelRequest) -> ModelRequest:
    """Copy the list of messages, which the caller goes on appending to."""
    return ModelRequest(
        model=request.model,
        system=request.system,
        messages=tuple(request.messages),
        tools=request.tools,
        options=request.options,
    )
