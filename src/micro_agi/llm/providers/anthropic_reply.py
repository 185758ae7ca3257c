"""Read replies of Anthropic's Messages API, streamed or whole.

A reply is a list of blocks: thinking with a signature, text, tool calls, in any order.
Blocks of thinking are kept as they came, with the order of all blocks, because the next
request has to hold them unchanged (see `turns`).

Source: spec/agent.md 6.10; tokens that were written to the cache are a part of `prompt`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from micro_agi.llm.failure import ProviderError, provider_error
from micro_agi.llm.providers.parts import PartialCall, complete_calls, count, service_error, to_json
from micro_agi.llm.request import Reply
from micro_agi.messages import FinishReason, Usage
from micro_agi.values import as_object

OPAQUE = "anthropic"
"""Key of the layout in `Message.metadata`."""
CHARS_PER_TOKEN = 4
FINISHES: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "filtered",
}


class _Delta(Struct, gc=False):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Event(Struct):
    type: str = ""
    index: int = 0
    delta: _Delta | None = None
    content_block: dict[str, Any] | None = None
    message: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Event).decode


class _Block:
    """One block that is being read."""

    __slots__ = ("call", "given", "signature", "text")

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        """As it began, or as it is when it came whole."""
        self.text: list[str] = []
        self.signature: list[str] = []
        self.call: PartialCall | None = None
        if given.get("type") == "tool_use":
            start = given.get("input")
            self.call = PartialCall(
                id=str(given.get("id") or ""),
                name=str(given.get("name") or ""),
                arguments=[to_json(start).decode()] if start else [],
            )
        else:
            self.text.append(str(given.get("text") or given.get("thinking") or ""))

    @property
    def is_sealed(self) -> bool:
        """Whether it is thinking that can go back; one that was cut off has no signature."""
        kind = self.given.get("type")
        return kind == "redacted_thinking" or (
            kind == "thinking" and bool(self.signature or self.given.get("signature"))
        )

    @property
    def opaque(self) -> dict[str, Any]:
        """Thinking as it came, put together."""
        found = dict(self.given)
        if found["type"] == "thinking":
            found["thinking"] = "".join(self.text)
            found["signature"] = str(found.get("signature") or "") + "".join(self.signature)
        return found


class AnthropicReply:
    """Collects one reply."""

    def __init__(self, model: str = "", where: str = "") -> None:
        """Start with nothing; `model` is marked on its thinking, `where` is for errors."""
        self._model = model
        self._where = where
        self.complete = False
        """Whether the reply came to its end: a stop reason."""
        self.done = False
        """Whether nothing more will come."""
        self._blocks: dict[int, _Block] = {}
        self._id = ""
        self._stop = ""
        self._usage: dict[str, Any] = {}

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
                continue  # an event of a later version whose fields we do not read
            delta = event.delta
            if event.type == "content_block_delta" and delta is not None:
                self._add(event.index, delta, text, thinking)
            else:
                self._take_other(event, text, thinking)
        return "".join(text), "".join(thinking)

    def take_whole(self, body: bytes) -> tuple[str, str]:
        """Take a reply that came as one JSON object."""
        try:
            value = as_object(msgspec.json.decode(body))
        except msgspec.DecodeError:
            start = body[:200].decode("utf-8", "replace")
            raise self._broken(f"the reply is not JSON: {start}") from None
        if value.get("error"):
            raise service_error(value["error"], where=self._where)
        content = value.get("content")
        if not isinstance(content, list):
            raise self._broken("the reply has no `content`")
        self._begin(value)
        self._blocks = {i: _Block(dict(as_object(block))) for i, block in enumerate(content)}
        self._stop = str(value.get("stop_reason") or "end_turn")
        self.complete = self.done = True
        return self._text("text"), self._text("thinking")

    def reply(self) -> Reply:
        """Return the whole reply."""
        calls = complete_calls(b.call for b in self._ordered() if b.call is not None)
        finish = FINISHES.get(self._stop, "stop")
        return Reply(
            text=self._text("text"),
            thinking=self._text("thinking"),
            tool_calls=calls,
            usage=self._read_usage(),
            finish_reason="tool_call" if calls and finish == "stop" else finish,
            metadata={"response_id": self._id} | ({} if self._usage else {"estimated_usage": True}),
            opaque=self._opaque([call.id for call in calls]),
        )

    def _add(self, index: int, delta: _Delta, text: list[str], thinking: list[str]) -> None:
        block = self._blocks.get(index)
        if block is None:
            return
        if delta.text:
            block.text.append(delta.text)
            text.append(delta.text)
        elif delta.thinking:
            block.text.append(delta.thinking)
            thinking.append(delta.thinking)
        elif delta.partial_json and block.call is not None:
            block.call.arguments.append(delta.partial_json)
        elif delta.signature:
            block.signature.append(delta.signature)

    def _take_other(self, event: _Event, text: list[str], thinking: list[str]) -> None:
        match event.type:
            case "message_start":
                self._begin(event.message or {})
            case "content_block_start":
                block = self._blocks[event.index] = _Block(event.content_block or {})
                kind = block.given.get("type")
                if kind in ("text", "thinking") and block.text[0]:
                    (text if kind == "text" else thinking).append(block.text[0])
            case "message_delta":
                self._usage |= {k: v for k, v in (event.usage or {}).items() if v is not None}
                if event.delta is not None and event.delta.stop_reason:
                    self._stop = event.delta.stop_reason
                    self.complete = True
            case "message_stop":
                self.complete = self.done = True
            case "error":
                raise service_error(event.error, where=self._where)
            case _:
                pass

    def _begin(self, message: Mapping[str, Any]) -> None:
        self._id = str(message.get("id") or "")
        self._usage = dict(as_object(message.get("usage")))

    def _ordered(self) -> list[_Block]:
        return [self._blocks[index] for index in sorted(self._blocks)]

    def _text(self, kind: str) -> str:
        blocks = (b for b in self._ordered() if b.given.get("type") == kind)
        return "".join(piece for block in blocks for piece in block.text)

    def _read_usage(self) -> Usage:
        value = self._usage
        written = count(value.get("cache_creation_input_tokens"))
        completion = count(value.get("output_tokens"))
        details = as_object(value.get("output_tokens_details"))
        guess = -(-len(self._text("thinking")) // CHARS_PER_TOKEN)
        return Usage(
            prompt=count(value.get("input_tokens")) + written,
            completion=completion,
            thinking=count(details.get("thinking_tokens")) or min(guess, completion),
            cached=count(value.get("cache_read_input_tokens")),
            cache_write=written,
        )

    def _opaque(self, ids: list[str]) -> dict[str, Any]:
        """Return the order of the blocks, if there is thinking among them."""
        blocks = self._ordered()
        if not any(block.is_sealed for block in blocks):
            return {}
        left = iter(ids)
        layout: list[dict[str, Any]] = []
        for block in blocks:
            if block.call is not None:
                layout.append({"call": next(left)})
            elif block.given.get("type") == "text":
                layout.append({"text": len("".join(block.text))})
            elif block.is_sealed:
                layout.append({"as_is": block.opaque})
        return {OPAQUE: {"model": self._model, "layout": layout}}

    def _broken(self, what: str) -> ProviderError:
        return provider_error("server_error", what, where=self._where)
