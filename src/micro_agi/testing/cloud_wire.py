"""What Anthropic's Messages and Google's Gemini look like on the wire, for the scripted server."""

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from micro_agi.llm.providers.scripted import Call
from micro_agi.testing.model_wire import Failing, Scripted, arguments, call_id, frame

_ANTHROPIC_STOPS = {"length": "max_tokens", "content_filter": "refusal"}
_ANTHROPIC_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_GOOGLE_STOPS = {"length": "MAX_TOKENS", "content_filter": "SAFETY"}
_GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


def sealed(thinking: str) -> str:
    """Return the signature that the scripted server gives to a thinking: base64, as real ones."""
    return base64.b64encode(f"sealed:{thinking}".encode()).decode()


class AnthropicWire:
    """Messages."""

    def __init__(self, number: int, body: Mapping[str, Any], reply: Scripted) -> None:
        self._number = number
        self._body = body
        self._reply = reply

    def frames(self) -> list[bytes]:
        start = self._message([]) | {"stop_reason": None}
        events: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
        for index, (block, deltas) in enumerate(self._blocks()):
            place = {"index": index}
            events.append({"type": "content_block_start", **place, "content_block": block})
            events += [{"type": "content_block_delta", **place, "delta": d} for d in deltas]
            events.append({"type": "content_block_stop", **place})
        end = {"stop_reason": self._stop(), "stop_sequence": None}
        spent = {"output_tokens": self._usage().get("output_tokens", 0)}
        spent |= {k: v for k, v in self._usage().items() if k == "output_tokens_details"}
        events.append({"type": "message_delta", "delta": end, "usage": spent})
        if self._reply.usage is None:
            del events[-1]["usage"], start["usage"]
        events.append({"type": "message_stop"})
        return [frame(event, event["type"]) for event in events]

    def whole(self) -> dict[str, Any]:
        content = []
        for block, deltas in self._blocks():
            content.append(dict(block))
            for delta in deltas:
                _add(content[-1], delta)
        return self._message(content)

    def half_call(self) -> list[bytes]:
        frames = self.frames()
        start = next(i for i, each in enumerate(frames) if b"tool_use" in each)
        return frames[: start + 2]

    def failure(self, fault: Failing) -> dict[str, Any]:
        usual = _ANTHROPIC_ERRORS.get(fault.status, "api_error")
        error = {"type": fault.type or fault.code or usual, "message": fault.message}
        return {"type": "error", "error": error, "request_id": "req_scripted"}

    def in_band(self, fault: Failing) -> bytes:
        return frame(self.failure(fault), "error")

    def _stop(self) -> str:
        natural = "tool_use" if self._reply.calls else "end_turn"
        return _ANTHROPIC_STOPS.get(self._reply.finish, natural)

    def _message(self, content: list[dict[str, Any]]) -> dict[str, Any]:
        message = {
            "id": "msg_scripted",
            "type": "message",
            "role": "assistant",
            "model": self._body.get("model", ""),
            "content": content,
            "stop_reason": self._stop(),
            "stop_sequence": None,
            "usage": self._usage(),
        }
        if self._reply.usage is None and content:
            del message["usage"]
        return message

    def _blocks(self) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Return each block as it begins, with its deltas."""
        reply = self._reply
        blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
        if reply.thinking:
            signature = {"type": "signature_delta", "signature": sealed(reply.thinking)}
            begun = {"type": "thinking", "thinking": "", "signature": ""}
            blocks.append(
                (begun, [{"type": "thinking_delta", "thinking": reply.thinking}, signature])
            )
        if reply.pieces:
            said = [{"type": "text_delta", "text": piece} for piece in reply.pieces]
            blocks.append(({"type": "text", "text": ""}, said))
        for index, call in enumerate(reply.calls):
            id_ = call.id or call_id(self._number, index)
            text = arguments(call)
            half = len(text) // 2
            deltas = [
                {"type": "input_json_delta", "partial_json": t}
                for t in ("", text[:half], text[half:])
            ]
            blocks.append(({"type": "tool_use", "id": id_, "name": call.name, "input": {}}, deltas))
        return blocks

    def _usage(self) -> dict[str, Any]:
        usage = self._reply.usage or {}
        read, written = usage.get("cached", 0), usage.get("cache_write", 0)
        return {
            "input_tokens": usage.get("prompt", 0) - read - written,
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": read,
            "output_tokens": usage.get("completion", 0),
            "output_tokens_details": {"thinking_tokens": usage.get("thinking", 0)},
        }


def _add(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """Put a delta into a whole block."""
    if delta["type"] == "input_json_delta":
        text = str(block.get("input") or "") + str(delta["partial_json"])
        try:
            block["input"] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            block["input"] = text
        return
    for key in ("text", "thinking", "signature"):
        if key in delta:
            block[key] += delta[key]


class GoogleWire:
    """Gemini's `generateContent`."""

    def __init__(self, number: int, body: Mapping[str, Any], reply: Scripted) -> None:
        self._reply = reply

    def frames(self) -> list[bytes]:
        chunks = [self._chunk([]), *(self._chunk([part]) for part in self._parts())]
        chunks.append(self._chunk([], finish=self._stop()))
        return [frame(chunk) for chunk in chunks]

    def whole(self) -> dict[str, Any]:
        return self._chunk(self._parts(), finish=self._stop())

    def half_call(self) -> list[bytes]:
        # Calls come whole here, so the cut is inside the frame.
        frames = self.frames()
        start = next(i for i, each in enumerate(frames) if b"functionCall" in each)
        return [*frames[:start], frames[start][: len(frames[start]) // 2]]

    def failure(self, fault: Failing) -> dict[str, Any]:
        status = fault.type or _GOOGLE_STATUSES.get(fault.status, "INTERNAL")
        details: list[dict[str, Any]] = []
        if "PerDay" in fault.code:
            details.append({"@type": "type.googleapis.com/google.rpc.QuotaFailure"})
            details[-1]["violations"] = [{"quotaId": fault.code}]
        elif fault.code:
            details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo"})
            details[-1]["reason"] = fault.code
        if fault.retry_after:
            details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo"})
            details[-1]["retryDelay"] = f"{fault.retry_after}s"
        error = {"code": fault.status, "message": fault.message, "status": status}
        return {"error": error | ({"details": details} if details else {})}

    def in_band(self, fault: Failing) -> bytes:
        return frame(self.failure(fault))

    def _stop(self) -> str:
        if any(_malformed(call) for call in self._reply.calls):
            return "MALFORMED_FUNCTION_CALL"
        return _GOOGLE_STOPS.get(self._reply.finish, "STOP")

    def _parts(self) -> list[dict[str, Any]]:
        reply = self._reply
        parts: list[dict[str, Any]] = [{"text": piece} for piece in reply.pieces]
        for call in (c for c in reply.calls if not _malformed(c)):
            given = {"id": call.id} if call.id else {}
            args = msgspec.json.decode(arguments(call))
            parts.append({"functionCall": {"name": call.name, "args": args, **given}})
        if reply.thinking and parts:
            # The first call is signed; without calls, the end of the text.
            place = len(reply.pieces) if len(parts) > len(reply.pieces) else -1
            parts[place]["thoughtSignature"] = sealed(reply.thinking)
        if reply.thinking:
            parts.insert(0, {"text": reply.thinking, "thought": True})
        return parts

    def _chunk(self, parts: list[dict[str, Any]], finish: str = "") -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        chunk: dict[str, Any] = {"candidates": [candidate], "responseId": "scripted"}
        usage = self._reply.usage
        if usage is None:
            return chunk
        thoughts = usage.get("thinking", 0)
        return chunk | {
            "usageMetadata": {
                "promptTokenCount": usage.get("prompt", 0),
                "cachedContentTokenCount": usage.get("cached", 0),
                "candidatesTokenCount": usage.get("completion", 0) - thoughts,
                "thoughtsTokenCount": thoughts,
                "totalTokenCount": usage.get("prompt", 0) + usage.get("completion", 0),
            }
        }


def _malformed(call: Call) -> bool:
    try:
        return not isinstance(msgspec.json.decode(arguments(call)), dict)
    except msgspec.DecodeError:
        return True
