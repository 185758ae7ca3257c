"""Write requests for Google's Gemini API: pure functions, and what differs by model.

A function call of Gemini may have no id. Ours are keys of the journal, so a call without
one gets a random id of 16 letters and digits behind `OWN_ID`, which is never sent; the
results are matched by their order then. (The reference made `<name>_<seconds>`, which
collides.) Results are a turn of their own: the service reads a turn that holds some as
the model's, so images of a result follow in the next one.

Source: spec/agent.md 6.11. Differences: schemas go out whole, as JSON Schema, which the
service takes by now; `any` is forced; nothing that the caller gave is changed in place.
"""

import urllib.parse
from collections.abc import Mapping
from typing import Any

import msgspec

from micro_agi.llm.failure import ProviderError
from micro_agi.llm.history import History, Kept, State
from micro_agi.llm.providers.google_reply import OPAQUE, OWN_ID, GoogleReply, read_error
from micro_agi.llm.providers.parts import (
    SYSTEM_ROLES,
    arguments_for_wire,
    level_of,
    max_tokens,
    schema_of,
    thinking_kind,
    to_json,
    tool_choice,
    wanted_effort,
    wanted_schema,
)
from micro_agi.llm.providers.turns import (
    close,
    grow,
    instruction,
    layout_of,
    leading,
    placed,
)
from micro_agi.llm.request import ModelRequest, ProviderAccess
from micro_agi.messages import Document, Image, Message, Part, Text, ToolCall, ToolSpec
from micro_agi.net.client import Headers
from micro_agi.values import as_object

LARGEST_BUDGET, SMALLEST_BUDGET = 24_576, 512
# Each level here is taken by every model that has levels.
LEVELS = ((25, "low"), (75, "medium"), (float("inf"), "high"))
# What the service takes instead of a signature that another model or nobody made.
NO_SIGNATURE = "skip_thought_signature_validator"
FORWARDED = {"top_p": "topP", "top_k": "topK", "seed": "seed"}
_BUDGET = ("gemini-1", "gemini-2")


class GoogleDialect:
    """The dialect with its caches; one per provider."""

    def __init__(self) -> None:
        # By model, because signatures are written for their own model only.
        self._histories: dict[str, History] = {}
        self._tools = Kept(encode_tools)

    def path(self, request: ModelRequest) -> str:
        """Return what follows the base URL."""
        name = request.model.provider_model
        place = name if "/" in name else f"models/{name}"
        return f"/{urllib.parse.quote(place)}:streamGenerateContent?alt=sse"

    def headers(self, request: ModelRequest, access: ProviderAccess) -> Headers:
        """Return the key's header; see `service.Dialect`."""
        return [("x-goog-api-key", access.api_key.reveal())] if access.api_key else []

    def body(self, request: ModelRequest) -> tuple[bytes, str]:
        """Return the request's exact bytes and their hash."""
        model = request.model.provider_model
        history = self._histories.setdefault(model, History())
        system, count, _ = leading(request)
        messages = request.messages[count:] if count else request.messages
        return history.body(self._head(request, system), messages, tail(request), Parts(model))

    def reply(self, request: ModelRequest, where: str) -> GoogleReply:
        """Return what collects the reply of one request."""
        return GoogleReply(request.model.provider_model, where)

    def refusal(
        self, body: Any, *, status: int, where: str, retry_after_s: float | None
    ) -> ProviderError:
        """Read an error response; see `service.Dialect`."""
        value = body[0] if isinstance(body, list) and body else body
        error = as_object(value).get("error") or value
        return read_error(error, status=status, where=where, retry_after_s=retry_after_s)

    def _head(self, request: ModelRequest, system: str) -> bytes:
        head = b"{"
        if system:
            head += b'"systemInstruction":' + to_json({"parts": [{"text": system}]}) + b","
        if request.tools:
            declared = self._tools.of(request.tools)
            head += b'"tools":[{"functionDeclarations":' + declared + b"}],"
        return head + b'"contents":['


class Parts:
    """How this dialect writes messages, for one model; see `history.Encode`.

    The state is `(turn, 0, images of results that wait)`.
    """

    def __init__(self, model: str) -> None:
        self._model = model

    def message(self, message: Message, state: State) -> tuple[bytes, State]:
        """Encode the parts of one message."""
        waiting: tuple[Image, ...] = state[2] if state else ()
        if message.role == "tool":
            waiting += tuple(p for p in message.parts if isinstance(p, Image))
            return _grown(state, "results", [to_json(_result(message))], waiting)
        before = b""
        if waiting:
            before, state = _grown(state, "user", _parts(waiting), ())
        if message.role == "assistant":
            after, state = _grown(state, "model", self._assistant(message), ())
            return before + after, state
        said = message.parts
        if message.role in SYSTEM_ROLES:
            said = (Text(instruction(message.text)),) if message.text else ()
        after, state = _grown(state, "user", _parts(said), ())
        return before + after, state

    def rest(self, state: State) -> bytes:
        """Encode the images that still wait, and close the last turn."""
        waiting: tuple[Image, ...] = state[2] if state else ()
        before, state = _grown(state, "user", _parts(waiting), ())
        return before + close(state)

    def _assistant(self, message: Message) -> list[bytes]:
        parts = []
        unsigned = not self._model.startswith(_BUDGET)
        for what, item in placed(message, layout_of(message, OPAQUE, self._model)):
            signature = {k: item[k] for k in ("thoughtSignature",) if k in item}
            if isinstance(what, ToolCall):
                signature = self._signature(what) or ({} if not unsigned else _UNSIGNED)
                unsigned = False  # only the first call of a turn has to have one
                parts.append(to_json(_call(what) | signature))
            elif isinstance(what, str):
                if what or signature:
                    parts.append(to_json({"text": what, **signature}))
            else:
                parts.append(to_json(what))
        return parts

    def _signature(self, call: ToolCall) -> dict[str, Any]:
        kept = as_object(call.provider.get(OPAQUE))
        own = kept.get("model") == self._model and "thoughtSignature" in kept
        return {"thoughtSignature": kept["thoughtSignature"]} if own else {}


_UNSIGNED = {"thoughtSignature": NO_SIGNATURE}
_STARTS = {
    "user": b',{"role":"user","parts":[',
    "results": b',{"role":"user","parts":[',
    "model": b',{"role":"model","parts":[',
}


def _grown(
    state: State, turn: str, parts: list[bytes], waiting: tuple[Image, ...]
) -> tuple[bytes, State]:
    added, state = grow(state, turn, _STARTS[turn], parts)
    return added, (*state[:2], waiting) if state else ()


def tail(request: ModelRequest) -> bytes:
    """Encode what follows the messages: the options."""
    card = request.model.options
    wanted = request.options.temperature
    config = {
        "maxOutputTokens": max_tokens(request),
        "temperature": card.get("temperature") if wanted is None else wanted,
        "stopSequences": [card["stop"]] if isinstance(card.get("stop"), str) else card.get("stop"),
        "thinkingConfig": _thinking(request),
        **{wire: card.get(name) for name, wire in FORWARDED.items()},
    }
    # Its keywords that the service does not know are ignored there, and checked here.
    if (schema := wanted_schema(request)) is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": schema}
    config = {name: value for name, value in config.items() if value is not None}
    options: dict[str, Any] = {"generationConfig": config} if config else {}
    if choice := tool_choice(request):
        mode, name = choice
        calling: dict[str, Any] = {"mode": "NONE" if mode == "none" else "ANY"}
        if name:
            calling["allowedFunctionNames"] = [name]
        options["toolConfig"] = {"functionCallingConfig": calling}
    options |= as_object(card.get("extra_body"))
    return b"]," + to_json(options)[1:] if options else b"]}"


def encode_tools(tools: tuple[ToolSpec, ...]) -> bytes:
    """Encode the list of tools."""
    return to_json(
        [
            {"name": t.name, "description": t.description, "parametersJsonSchema": schema_of(t)}
            for t in tools
        ]
    )


def _thinking(request: ModelRequest) -> dict[str, Any] | None:
    """Return the thinking configuration; an entry's `options.thinking` says which kind."""
    card, effort = request.model, wanted_effort(request)
    usual = "budget" if card.provider_model.startswith(_BUDGET) else "level"
    kind = thinking_kind(request, usual, ("budget", "level", "none"))
    if effort is None or kind == "none":
        return None
    if kind == "level":
        return {"thinkingLevel": level_of(effort, LEVELS), "includeThoughts": True}
    if effort == 0 and "pro" not in card.provider_model:
        return {"thinkingBudget": 0}
    budget = max(SMALLEST_BUDGET, round(LARGEST_BUDGET * min(effort, 100) / 100))
    return {"thinkingBudget": budget, "includeThoughts": True}


def _parts(parts: tuple[Part, ...]) -> list[bytes]:
    return [to_json(_part(part)) for part in parts if part != Text("")]


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"text": part.text}
    if isinstance(part, Document):
        return {"inlineData": {"mimeType": part.mime, "data": part.data}}
    if part.url:
        return {"fileData": {"mimeType": part.mime or "image/png", "fileUri": part.url}}
    return {"inlineData": {"mimeType": part.mime or "image/png", "data": part.data}}


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = msgspec.Raw(arguments_for_wire(call.arguments).encode())
    return {"functionCall": {**_id(call.id), "name": call.name, "args": arguments}}


def _result(message: Message) -> dict[str, Any]:
    key = "error" if message.metadata.get("error") else "result"
    response: Mapping[str, Any] = {key: message.text}
    answer = {**_id(message.tool_call_id), "name": message.name, "response": response}
    return {"functionResponse": answer}


def _id(call_id: str) -> dict[str, str]:
    return {} if call_id.startswith(OWN_ID) else {"id": call_id}
