"""Read replies of the Chat Completions dialect, streamed or whole.

Every compatible server speaks it a little differently. Tolerated: JSON instead of a
stream, no `[DONE]`, no usage, errors inside the stream, calls without id or index, the
older single `function_call`, content as a list of parts, arguments as an object. A tool
call counts when the reply is complete, never earlier: arguments that parse may go on.

A frame costs about a microsecond: it is decoded into structs of only the needed fields,
and only a frame that does not fit them is looked at again field by field.
Source: spec/agent.md 6.9; an unknown finish reason counts as `stop` (ours).
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from micro_agi.llm.failure import provider_error
from micro_agi.llm.providers.parts import (
    PartialCall,
    as_text,
    complete_calls,
    count,
    service_error,
)
from micro_agi.llm.request import Reply
from micro_agi.messages import FinishReason, Usage
from micro_agi.values import as_object

FINISHES: Mapping[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "content_filter": "filtered",
    "error": "error",
}


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: _Function | None = None


class _Choice(Struct):
    index: int = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None
    id: str | None = None


_decode = msgspec.json.Decoder(_Chunk).decode


class ChatReply:
    """Collects one reply."""

    def __init__(self, where: str = "") -> None:
        """Start with nothing; `where` is for errors."""
        self._where = where
        self.complete = False
        """Whether the reply came to its end: a finish reason or `[DONE]`."""
        self.done = False
        """Whether nothing more will come: `[DONE]`."""
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[PartialCall] = []
        self._by_index: dict[int, PartialCall] = {}
        self._finish = ""
        self._refused = False
        self._usage: Usage | None = None
        self._id: str | None = None

    def take(self, frames: list[bytes]) -> tuple[str, str]:
        """Take the data of frames; return the text and the thinking they add.

        Raises: a provider error that the service put into the stream.
        """
        text: list[str] = []
        thinking: list[str] = []
        for frame in frames:
            try:
                chunk = _decode(frame)
            except msgspec.DecodeError:
                chunk = self._unusual(frame)
            choices = chunk.choices
            if choices:
                choice = choices[0]
                delta = choice.delta
                if delta is not None:
                    if delta.content:
                        text.append(delta.content)
                    if delta.reasoning_content or delta.reasoning:
                        thinking.append(delta.reasoning_content or delta.reasoning or "")
                    if delta.tool_calls is not None or delta.function_call is not None:
                        self._add_calls(delta)
                    if delta.refusal:
                        text.append(delta.refusal)
                        self._refused = True
                if choice.finish_reason:
                    self._finish = choice.finish_reason
                    self.complete = True
            if chunk.usage is not None or chunk.error is not None or self._id is None:
                self._add_rest(chunk)
        self._text += text
        self._thinking += thinking
        return "".join(text), "".join(thinking)

    def take_whole(self, body: bytes) -> tuple[str, str]:
        """Take a reply that came as one JSON object."""
        try:
            value = as_object(msgspec.json.decode(body))
        except msgspec.DecodeError:
            start = body[:200].decode("utf-8", "replace")
            raise provider_error(
                "server_error", f"the reply is not JSON: {start}", where=self._where
            ) from None
        chunk = _tolerant(value)
        for choice in (chunk.choices or [])[:1]:
            choice.delta = choice.message or choice.delta
            choice.finish_reason = choice.finish_reason or "stop"
        if not chunk.choices and chunk.error is None:
            raise provider_error("server_error", "the reply has no `choices`", where=self._where)
        return self.take([msgspec.json.encode(chunk)])

    def reply(self) -> Reply:
        """Return the whole reply."""
        calls = complete_calls(call for call in self._calls if call.name)
        reason = "content_filter" if self._refused else self._finish
        finish = FINISHES.get(reason, "tool_call" if calls else "stop")
        return Reply(
            text="".join(self._text),
            thinking="".join(self._thinking),
            tool_calls=calls,
            usage=self._usage or Usage(),
            finish_reason=finish,
            metadata={"response_id": self._id or ""}
            | ({} if self._usage else {"estimated_usage": True}),
        )

    def _unusual(self, frame: bytes) -> _Chunk:
        """Read a frame that the structs do not fit; what is no JSON counts as empty."""
        if frame.strip() == b"[DONE]":
            self.complete = self.done = True
            return _Chunk()
        try:
            return _tolerant(msgspec.json.decode(frame))
        except msgspec.DecodeError:
            return _Chunk()

    def _add_rest(self, chunk: _Chunk) -> None:
        if chunk.error:
            raise service_error(chunk.error, where=self._where)
        if chunk.usage:
            self._usage = read_usage(chunk.usage)
        self._id = self._id or chunk.id or ""

    def _add_calls(self, delta: _Delta) -> None:
        if delta.function_call is not None:
            self._add_call(_Call(index=0, function=delta.function_call))
        for call in delta.tool_calls or ():
            self._add_call(call)

    def _add_call(self, piece: _Call) -> None:
        function = piece.function or _Function()
        target = self._target(piece, function)
        target.id = target.id or piece.id or ""
        if function.name and function.name != target.name and not target.arguments:
            target.name += function.name
        if function.arguments:
            target.arguments.append(function.arguments)

    def _target(self, piece: _Call, function: _Function) -> PartialCall:
        """Find the call that a piece belongs to.

        By index; but some servers give every call index 0 and tell them apart by id, and
        some give none, where a name starts a new call.
        """
        known: PartialCall | None
        if piece.index is None:
            same = [c for c in self._calls if piece.id and c.id == piece.id]
            last = self._calls[-1] if self._calls and not piece.id and not function.name else None
            known = same[0] if same else last
        else:
            known = self._by_index.get(piece.index)
            if known is not None and piece.id and known.id and piece.id != known.id:
                known = None
        if known is None:
            known = PartialCall()
            self._calls.append(known)
            if piece.index is not None:
                self._by_index[piece.index] = known
        return known


def read_usage(value: Mapping[str, Any]) -> Usage:
    """Read a usage object; cached tokens leave `prompt`, reasoning ones stay in `completion`."""
    prompt = as_object(value.get("prompt_tokens_details"))
    completion = as_object(value.get("completion_tokens_details"))
    cached = count(prompt.get("cached_tokens")) or count(value.get("prompt_cache_hit_tokens"))
    return Usage(
        prompt=max(0, count(value.get("prompt_tokens")) - cached),
        completion=count(value.get("completion_tokens")),
        thinking=count(completion.get("reasoning_tokens")),
        cached=cached,
    )


def _tolerant(value: Any) -> _Chunk:
    """Read a chunk whose fields have other types than the dialect says."""
    facts = as_object(value)
    choices = facts.get("choices")
    usage = facts.get("usage")
    return _Chunk(
        choices=[_tolerant_choice(c) for c in choices] if isinstance(choices, list) else None,
        usage=dict(usage) if isinstance(usage, Mapping) else None,
        error=facts.get("error"),
        id=facts["id"] if isinstance(facts.get("id"), str) else None,
    )


def _tolerant_choice(value: Any) -> _Choice:
    choice = as_object(value)
    finish = choice.get("finish_reason")
    return _Choice(
        delta=_tolerant_delta(choice["delta"]) if choice.get("delta") else None,
        message=_tolerant_delta(choice["message"]) if choice.get("message") else None,
        finish_reason=finish if isinstance(finish, str) else None,
    )


def _tolerant_delta(value: Any) -> _Delta:
    delta = as_object(value)
    calls = delta.get("tool_calls")
    old = delta.get("function_call")
    return _Delta(
        content=_flat(delta.get("content"), "text"),
        reasoning_content=_flat(delta.get("content"), "thinking")
        or _flat(delta.get("reasoning_content"), "text")
        or _flat(delta.get("reasoning"), "text"),
        refusal=_flat(delta.get("refusal"), "text"),
        tool_calls=[_tolerant_call(c) for c in calls] if isinstance(calls, list) else None,
        function_call=_tolerant_function(old) if isinstance(old, Mapping) else None,
    )


def _flat(value: Any, kind: str) -> str | None:
    """Return text that is one, or that is a list of parts of this kind."""
    if isinstance(value, str):
        return value if kind == "text" else None
    if not isinstance(value, list):
        return None
    parts = [as_object(part) for part in value]
    inner = [p.get(kind) for p in parts if p.get("type", "text") == kind]
    return "".join(_flat(i, "text") or "" for i in inner)


def _tolerant_call(value: Any) -> _Call:
    call = as_object(value)
    index = call.get("index")
    id_ = call.get("id")
    return _Call(
        index=index if isinstance(index, int) else None,
        id=None if id_ is None else str(id_),
        function=_tolerant_function(call.get("function")),
    )


def _tolerant_function(value: Any) -> _Function:
    function = as_object(value)
    name = function.get("name")
    return _Function(
        name=name if isinstance(name, str) else None,
        arguments=as_text(function.get("arguments")),
    )
