"""Read replies of the Responses dialect, streamed or whole.

The stream says what it adds piece by piece, and its last event holds the usage. A stream
that ends without that event broke off (spec/agent.md 6.8 yields a result then; an answer
that stops in the middle of a sentence is not one).
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

OPAQUE = "openai_responses"
"""Key of encrypted reasoning in `Message.metadata` and `ToolCall.provider`."""
_ENDS = frozenset({"response.completed", "response.incomplete"})
_FAILURES = frozenset({"response.failed", "error", "response.error"})
_THINKING = frozenset({"response.reasoning_summary_text.delta", "response.reasoning_text.delta"})


class _Event(Struct):
    type: str = ""
    delta: Any = None
    item: dict[str, Any] | None = None
    item_id: str | None = None
    arguments: str | None = None
    response: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Event).decode


class ResponsesReply:
    """Collects one reply."""

    def __init__(self, model: str = "", where: str = "") -> None:
        """Start with nothing; `model` is marked on its reasoning, `where` is for errors."""
        self._model = model
        self._where = where
        self.complete = False
        """Whether the reply came to its end."""
        self.done = False
        """Whether nothing more will come; the same here."""
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: dict[str, PartialCall] = {}
        self._reasoning: list[dict[str, Any]] = []
        """Items that wait for what they led to."""
        self._opaque: list[dict[str, Any]] = []
        self._refused = False
        self._end: Mapping[str, Any] = {}

    def take(self, frames: list[bytes]) -> tuple[str, str]:
        """Take the data of frames; return the text and the thinking they add.

        Raises: a provider error that the service put into the stream.
        """
        text: list[str] = []
        thinking: list[str] = []
        for frame in frames:
            try:
                event = _decode(frame)
            except msgspec.DecodeError:
                continue  # `[DONE]` of compatible servers, and what is no event of this dialect
            kind = event.type
            if kind == "response.output_text.delta":
                text.append(event.delta or "")
            elif kind in _THINKING:
                thinking.append(event.delta or "")
            elif kind == "response.refusal.delta":
                self._refused = True
                text.append(event.delta or "")
            else:
                self._take_other(event, frame)
        self._text += text
        self._thinking += thinking
        return "".join(text), "".join(thinking)

    def take_whole(self, body: bytes) -> tuple[str, str]:
        """Take a reply that came as one JSON object."""
        try:
            response = as_object(msgspec.json.decode(body))
        except msgspec.DecodeError:
            start = body[:200].decode("utf-8", "replace")
            raise provider_error(
                "server_error", f"the reply is not JSON: {start}", where=self._where
            ) from None
        if response.get("error"):
            raise service_error(response["error"], where=self._where)
        output = response.get("output")
        if not isinstance(output, list):
            raise provider_error("server_error", "the reply has no `output`", where=self._where)
        for item in output:
            self._whole_item(as_object(item))
        self._finish(response)
        return "".join(self._text), "".join(self._thinking)

    def reply(self) -> Reply:
        """Return the whole reply."""
        calls = complete_calls(call for call in self._calls.values() if call.name)
        usage = self._end.get("usage")
        return Reply(
            text="".join(self._text),
            thinking="".join(self._thinking),
            tool_calls=calls,
            usage=read_usage(usage) if isinstance(usage, Mapping) else Usage(),
            finish_reason=self._reason(bool(calls)),
            metadata={"response_id": str(self._end.get("id", ""))}
            | ({} if usage else {"estimated_usage": True}),
            opaque={OPAQUE: self._kept(self._opaque)} if self._opaque else {},
        )

    def _take_other(self, event: _Event, frame: bytes) -> None:
        item = event.item or {}
        match event.type:
            case "response.output_item.added" if item.get("type") == "function_call":
                self._call(item)
            case "response.function_call_arguments.delta":
                self._known(event.item_id).arguments.append(event.delta or "")
            case "response.function_call_arguments.done" if event.arguments:
                self._known(event.item_id).arguments = [event.arguments]
            case "response.output_item.done":
                self._done(item)
            case kind if kind in _ENDS:
                self._finish(event.response or {})
            case kind if kind in _FAILURES:
                facts = msgspec.json.decode(frame)
                response = as_object(facts.get("response"))
                self._end = response
                raise service_error(
                    response.get("error") or facts.get("error") or facts, where=self._where
                )
            case _:
                pass

    def _call(self, item: Mapping[str, Any]) -> PartialCall:
        call = self._known(str(item.get("id") or item.get("call_id") or ""))
        call.id = str(item.get("call_id") or item.get("id") or "")
        call.name = str(item.get("name") or call.name)
        return call

    def _known(self, item_id: str | None) -> PartialCall:
        return self._calls.setdefault(item_id or "", PartialCall())

    def _done(self, item: Mapping[str, Any]) -> None:
        """Take an item that is complete; reasoning waits for the item after it."""
        match item.get("type"):
            case "reasoning" if item.get("encrypted_content"):
                kept = ("type", "id", "summary", "encrypted_content")
                self._reasoning.append({key: item[key] for key in kept if key in item})
            case "function_call":
                call = self._call(item)
                if item.get("arguments"):
                    call.arguments = [as_text(item["arguments"])]
                if self._reasoning:
                    call.provider = {OPAQUE: self._kept(self._reasoning)}
                    self._reasoning = []
            case "message":
                self._opaque += self._reasoning
                self._reasoning = []

    def _kept(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        return {"model": self._model, "items": items}

    def _whole_item(self, item: Mapping[str, Any]) -> None:
        if item.get("type") == "reasoning":
            parts = [*(item.get("summary") or ()), *(item.get("content") or ())]
            self._thinking += [str(as_object(p).get("text") or "") for p in parts]
        elif item.get("type") == "message":
            for part in map(as_object, item.get("content") or ()):
                self._refused = self._refused or part.get("type") == "refusal"
                self._text.append(str(part.get("text") or part.get("refusal") or ""))
        self._done(item)

    def _finish(self, response: Mapping[str, Any]) -> None:
        self._end = response
        self.complete = self.done = True

    def _reason(self, has_calls: bool) -> FinishReason:
        status = self._end.get("status")
        why = as_object(self._end.get("incomplete_details")).get("reason")
        if self._refused or (status == "incomplete" and why == "content_filter"):
            return "filtered"
        if status == "incomplete":
            return "length"
        if status in ("failed", "cancelled"):
            return "error"
        return "tool_call" if has_calls else "stop"


def read_usage(value: Mapping[str, Any]) -> Usage:
    """Read a usage object; cached tokens leave `prompt`, reasoning ones stay in `completion`."""
    cached = count(as_object(value.get("input_tokens_details")).get("cached_tokens"))
    details = as_object(value.get("output_tokens_details"))
    return Usage(
        prompt=max(0, count(value.get("input_tokens")) - cached),
        completion=count(value.get("output_tokens")),
        thinking=count(details.get("reasoning_tokens")),
        cached=cached,
    )
