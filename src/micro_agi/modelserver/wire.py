"""What clients read: replies of both endpoints, whole and streamed, and errors.

Source: OpenAI's Chat Completions and Completions, as the official client reads them.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from micro_agi.errors import MicroAgiError
from micro_agi.messages import ToolCall
from micro_agi.modelserver.engine import Piece
from micro_agi.modelserver.generation import Counted

DONE = b"data: [DONE]\n\n"
_FIELDS = {"content": "content", "thinking": "reasoning_content"}
_encode = msgspec.json.Encoder().encode


def to_json(value: Any) -> bytes:
    """Encode one value."""
    return _encode(value)


class ReplyWire:
    """One reply in the form of its endpoint."""

    def __init__(self, model: str, kind: Literal["chat", "completion"]) -> None:
        self._chat = kind == "chat"
        name = "chat.completion" if self._chat else "text_completion"
        prefix = "chatcmpl" if self._chat else "cmpl"
        self._head = {
            "id": f"{prefix}-{uuid.uuid4().hex[:24]}",
            "object": name,
            "created": int(time.time()),
            "model": model,
        }
        self._chunk = self._head | ({"object": f"{name}.chunk"} if self._chat else {})

    def start(self) -> bytes:
        """Return the first frame."""
        return self._frame({"role": "assistant", "content": ""}) if self._chat else b""

    def pieces(self, pieces: Sequence[Piece]) -> bytes:
        """Return the frames of pieces of text."""
        return b"".join(
            self._frame({_FIELDS[kind]: text}) if self._chat else self._frame(text)
            for kind, text in pieces
        )

    def calls(self, calls: Sequence[ToolCall]) -> bytes:
        """Return the frames of calls."""
        return b"".join(
            self._frame({"tool_calls": [{"index": n, **_call(call)}]})
            for n, call in enumerate(calls)
        )

    def finish(self, reason: str, counted: Counted | None) -> bytes:
        """Return the last frames; the usage only when it is wanted."""
        frames = self._frame({} if self._chat else "", reason)
        if counted is not None:
            frames += _sse(self._chunk | {"choices": [], "usage": usage(counted)})
        return frames + DONE

    def whole(
        self, pieces: Sequence[Piece], calls: Sequence[ToolCall], reason: str, counted: Counted
    ) -> bytes:
        """Return the reply as one object."""
        text = "".join(text for kind, text in pieces if kind == "content")
        thinking = "".join(text for kind, text in pieces if kind == "thinking")
        if self._chat:
            said: dict[str, Any] = {"role": "assistant", "content": text}
            if calls:
                said |= {
                    "content": text.strip() or None,
                    "tool_calls": [_call(call) for call in calls],
                }
            if thinking:
                said["reasoning_content"] = thinking
            choice = {"index": 0, "message": said, "finish_reason": reason, "logprobs": None}
        else:
            choice = {"index": 0, "text": text, "finish_reason": reason, "logprobs": None}
        return to_json(self._head | {"choices": [choice], "usage": usage(counted)})

    def _frame(self, delta: Any, reason: str | None = None) -> bytes:
        what = {"delta": delta} if self._chat else {"text": delta}
        choice = {"index": 0, **what, "finish_reason": reason, "logprobs": None}
        return _sse(self._chunk | {"choices": [choice]})


def usage(counted: Counted) -> dict[str, Any]:
    """Return the usage; `prompt_tokens` includes the cached ones."""
    return {
        "prompt_tokens": counted.prompt,
        "completion_tokens": counted.completion,
        "total_tokens": counted.prompt + counted.completion,
        "prompt_tokens_details": {"cached_tokens": counted.cached},
    }


def error_object(error: MicroAgiError, *, code: str, kind: str) -> dict[str, Any]:
    """Return an error as OpenAI's clients read it, with our facts beside."""
    text = "\n".join([error.what, *([f"fix: {error.fix}"] if error.fix else [])])
    facts = {"message": text, "type": kind, "code": code, "param": error.where or None}
    return {"error": facts | {"micro_agi": error.as_dict()}}


def failed(error: MicroAgiError) -> bytes:
    """Return the frame of an error inside a stream."""
    return _sse(error_object(error, code=error.code, kind="server_error"))


def _call(call: ToolCall) -> Mapping[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _sse(value: Any) -> bytes:
    return b"data: " + _encode(value) + b"\n\n"
