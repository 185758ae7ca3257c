"""Read replies of Google's Gemini API, streamed or whole, and its errors.

A chunk holds whole parts: text, thoughts, function calls. Parts may carry a signature,
which has to go back at the same part: those of calls stay with the call, those of texts
in the layout of the message (see `turns`).

Source: spec/agent.md 6.11; a function call that the service itself found malformed is a
failure that is tried again, not an empty answer.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from micro_agi.llm.failure import ProviderError, provider_error
from micro_agi.llm.providers.parts import (
    SHORTEST_ID,
    as_list,
    count,
    new_call_id,
    service_error,
    to_json,
)
from micro_agi.llm.request import Reply
from micro_agi.messages import FinishReason, ToolCall, Usage
from micro_agi.values import as_object

OPAQUE = "google"
"""Key in `Message.metadata` and `ToolCall.provider`."""
OWN_ID = "google-"
"""How ids begin that we gave to calls which had none."""
ID_LENGTH = 16
SIGNATURE = "thoughtSignature"
FINISHES: Mapping[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        (
            *("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE"),
            *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
        ),
        "filtered",
    ),
}
MALFORMED = ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL")


class GoogleReply:
    """Collects one reply."""

    def __init__(self, model: str = "", where: str = "") -> None:
        """Start with nothing; `model` is marked on its signatures, `where` is for errors."""
        self._model = model
        self._where = where
        self.complete = False
        """Whether the reply came to its end: a finish reason."""
        self.done = False
        """Whether nothing more will come; only the stream's end says so here."""
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[ToolCall] = []
        self._layout: list[dict[str, Any]] = []
        self._signed = False
        self._finish = ""
        self._id = ""
        self._usage: Mapping[str, Any] = {}

    def take(self, frames: list[bytes]) -> tuple[str, str]:
        """Take the data of frames; return the text and the thinking they add.

        Raises: a provider error that the service put into the stream.
        """
        texts, thoughts = len(self._text), len(self._thinking)
        for frame in frames:
            try:
                chunk = as_object(msgspec.json.decode(frame))
            except msgspec.DecodeError:
                continue
            self._take(chunk)
        return "".join(self._text[texts:]), "".join(self._thinking[thoughts:])

    def take_whole(self, body: bytes) -> tuple[str, str]:
        """Take a reply that came as one JSON object."""
        try:
            chunk = as_object(msgspec.json.decode(body))
        except msgspec.DecodeError:
            start = body[:200].decode("utf-8", "replace")
            raise self._failed(f"the reply is not JSON: {start}") from None
        self._take(chunk)
        if not self.complete:
            raise self._failed("the reply has no `candidates` that came to an end")
        return "".join(self._text), "".join(self._thinking)

    def reply(self) -> Reply:
        """Return the whole reply."""
        finish = FINISHES.get(self._finish, "error")
        layout = {"model": self._model, "layout": self._layout}
        return Reply(
            text="".join(self._text),
            thinking="".join(self._thinking),
            tool_calls=tuple(self._calls),
            usage=read_usage(self._usage),
            finish_reason="tool_call" if self._calls and finish == "stop" else finish,
            metadata={"response_id": self._id} | ({} if self._usage else {"estimated_usage": True}),
            opaque={OPAQUE: layout} if self._signed else {},
        )

    def _take(self, chunk: Mapping[str, Any]) -> None:
        if chunk.get("error"):
            raise read_error(chunk["error"], where=self._where)
        self._id = self._id or str(chunk.get("responseId") or "")
        self._usage = as_object(chunk.get("usageMetadata")) or self._usage
        blocked = as_object(chunk.get("promptFeedback")).get("blockReason")
        if blocked:
            raise provider_error(
                "content_filtered", f"Request was refused: {blocked}", where=self._where
            )
        for candidate in as_list(chunk.get("candidates"))[:1]:
            facts = as_object(candidate)
            for part in as_list(as_object(facts.get("content")).get("parts")):
                self._part(as_object(part))
            if facts.get("finishReason"):
                self._end(str(facts["finishReason"]), str(facts.get("finishMessage") or ""))

    def _part(self, part: Mapping[str, Any]) -> None:
        signature = {SIGNATURE: part[SIGNATURE]} if part.get(SIGNATURE) else {}
        if "functionCall" in part:
            self._call(as_object(part["functionCall"]), signature)
        elif part.get("thought"):
            self._thinking.append(str(part.get("text") or ""))
            if signature:
                self._signed = True
                self._layout.append({"as_is": dict(part)})
        elif "text" in part:
            text = str(part["text"] or "")
            self._text.append(text)
            last = self._layout[-1] if self._layout else {}
            self._signed = self._signed or bool(signature)
            # A signed part and an unsigned one are never joined.
            if "text" in last and SIGNATURE not in last and not signature:
                last["text"] += len(text)
            else:
                self._layout.append({"text": len(text), **signature})

    def _call(self, call: Mapping[str, Any], signature: dict[str, Any]) -> None:
        id_ = str(call.get("id") or "")
        # Some gateways number the calls of each reply from 0.
        if len(id_) < SHORTEST_ID or any(known.id == id_ for known in self._calls):
            id_ = OWN_ID + new_call_id(ID_LENGTH)
        kept = {OPAQUE: {"model": self._model, **signature}} if signature else {}
        self._calls.append(
            ToolCall(
                id=id_,
                name=str(call.get("name") or ""),
                arguments=to_json(call.get("args") or {}).decode(),
                provider=kept,
            )
        )
        self._layout.append({"call": id_})

    def _end(self, reason: str, said: str) -> None:
        if reason in MALFORMED:
            detail = f": {said}" if said else ""
            raise self._failed(f"the model wrote a malformed tool call{detail}")
        self._finish = reason
        self.complete = True

    def _failed(self, what: str) -> ProviderError:
        return provider_error("server_error", what, where=self._where)


def read_usage(value: Mapping[str, Any]) -> Usage:
    """Read a usage object; cached tokens leave `prompt`, thoughts join `completion`."""
    cached = count(value.get("cachedContentTokenCount"))
    prompt = count(value.get("promptTokenCount")) + count(value.get("toolUsePromptTokenCount"))
    thinking = count(value.get("thoughtsTokenCount"))
    return Usage(
        prompt=max(0, prompt - cached),
        completion=count(value.get("candidatesTokenCount")) + thinking,
        thinking=thinking,
        cached=cached,
    )


def read_error(
    error: Any, *, status: int = 0, where: str = "", retry_after_s: float | None = None
) -> ProviderError:
    """Build the error for an error object, at any HTTP status or in a stream.

    The wait and the reason stand in `details`: `RetryInfo.retryDelay` is a text such as
    `34.07s`; a quota of the day is nothing to wait for.
    """
    facts = as_object(error)
    if not facts:
        return service_error(error, status=status, where=where, retry_after_s=retry_after_s)
    details = [as_object(detail) for detail in as_list(facts.get("details"))]
    reasons = [str(detail.get("reason") or "") for detail in details]
    delays = [re.fullmatch(r"([\d.]+)s", str(d.get("retryDelay") or "")) for d in details]
    wait = next((float(found[1]) for found in delays if found), retry_after_s)
    daily = any("PerDay" in str(detail.get("violations") or "") for detail in details)
    kind = "API_KEY_INVALID" if "API_KEY_INVALID" in reasons else str(facts.get("status") or "")
    said = {
        "message": facts.get("message"),
        "type": "insufficient_quota" if daily else kind,
        "code": facts.get("code"),
    }
    return service_error(said, status=status, where=where, retry_after_s=wait)
