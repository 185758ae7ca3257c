"""Write requests for Anthropic's Messages API: pure functions, and what differs by model.

Notes of the application keep their place in the conversation, as text of a user turn in
`<developer-instruction>` tags; only those at the start become the system text. Nothing
that was sent changes later, since newer models refuse thinking whose past was edited.

The end of an agent's conversation is always cached (`options.cache: false` turns it off);
besides it, markers cache the system text and the first two places they stand at.

Source: spec/agent.md 6.10. Differences: ids are sanitised without collisions, empty
arguments go out as `{}`, without a cap the model's own is sent (a small one truncates),
and an image may be part of a tool result.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from micro_agi.llm.failure import ProviderError
from micro_agi.llm.history import History, Kept, State
from micro_agi.llm.providers.anthropic_reply import OPAQUE, AnthropicReply
from micro_agi.llm.providers.closed_schema import closed_schema
from micro_agi.llm.providers.parts import (
    SYSTEM_ROLES,
    arguments_for_wire,
    as_list,
    level_of,
    max_tokens,
    schema_of,
    service_error,
    thinking_kind,
    to_json,
    tool_choice,
    wanted_effort,
    wanted_schema,
)
from micro_agi.llm.providers.table import ANTHROPIC_VERSION
from micro_agi.llm.providers.turns import (
    close,
    grow,
    instruction,
    layout_of,
    leading,
    placed,
)
from micro_agi.llm.request import ModelRequest, ProviderAccess
from micro_agi.messages import (
    CACHE_MARKER,
    Document,
    Image,
    Message,
    Part,
    Text,
    ToolCall,
    ToolSpec,
)
from micro_agi.net.client import Headers
from micro_agi.values import as_object

BINDING_BETA = "thinking-binding-controls-2026-08-01"
# Every model since Opus 4.1 takes it; one that takes less has an entry that says so.
DEFAULT_MAX_TOKENS = 32_000
SMALLEST_BUDGET, LARGEST_BUDGET = 1024, 24_000
# Four breakpoints are allowed: one is the end, one the system text.
MAX_MARKERS = 2
EPHEMERAL = {"type": "ephemeral"}
EFFORTS = ((25, "low"), (60, "medium"), (90, "high"), (float("inf"), "max"))
FORWARDED = ("top_p", "top_k")

# Models that think within a budget; all others choose for themselves ("adaptive").
_BUDGET = (
    *("claude-3", "claude-4-", "claude-opus-4-0", "claude-opus-4-1", "claude-opus-4-2"),
    *("claude-opus-4-5", "claude-sonnet-4-0", "claude-sonnet-4-2", "claude-sonnet-4-5"),
    "claude-haiku-4-5",
)
_WITHOUT_FORMAT = (
    *("claude-3", "claude-4-", "claude-opus-4-0", "claude-opus-4-2"),
    *("claude-sonnet-4-0", "claude-sonnet-4-2"),
)
"""Models whose answers no schema can be given for."""
_SAMPLING = (*_BUDGET, "claude-opus-4-6", "claude-sonnet-4-6")
"""Models that take a temperature; later ones refuse it."""
_BINDING = (
    *("claude-fable-5-1", "claude-fable-5-2", "claude-mythos-5-2"),
    *("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"),
)
"""Models that tie thinking to everything before it, tools included. A session loads tools
in the middle of a turn, so the service is told to drop such thinking instead of failing."""


class Habits(Struct, frozen=True, kw_only=True):
    """How a model wants to be asked; an entry's options of the same names win."""

    thinking: str
    """`budget`, `adaptive` or `none`."""
    sampling: bool
    binding: bool


def habits(request: ModelRequest) -> Habits:
    """Return the habits of a request's model, by its name."""
    name, options = request.model.provider_model, request.model.options
    usual = "budget" if name.startswith(_BUDGET) else "adaptive"
    return Habits(
        thinking=thinking_kind(request, usual, ("budget", "adaptive", "none")),
        sampling=bool(options.get("sampling", name.startswith(_SAMPLING))),
        binding=bool(options.get("binding", name.startswith(_BINDING))),
    )


class AnthropicDialect:
    """The dialect with its caches; one per provider."""

    def __init__(self) -> None:
        # By model, because signed thinking is written for its own model only.
        self._histories: dict[str, History] = {}
        self._tools = Kept(encode_tools)

    def path(self, request: ModelRequest) -> str:
        """Return what follows the base URL."""
        return "/v1/messages"

    def headers(self, request: ModelRequest, access: ProviderAccess) -> Headers:
        """Return the key's header, the API's version and the betas; see `service.Dialect`."""
        options = request.model.options
        found = [("anthropic-version", str(options.get("api_version") or ANTHROPIC_VERSION))]
        given = options.get("beta")
        betas = [given] if isinstance(given, str) else [str(beta) for beta in as_list(given)]
        if habits(request).binding:
            betas.append(BINDING_BETA)
        if betas:
            found.append(("anthropic-beta", ",".join(betas)))
        if access.api_key:
            found.append(("x-api-key", access.api_key.reveal()))
        return found

    def body(self, request: ModelRequest) -> tuple[bytes, str]:
        """Return the request's exact bytes and their hash."""
        model = request.model.provider_model
        history = self._histories.setdefault(model, History())
        system, count, marked = leading(request)
        messages = request.messages[count:] if count else request.messages
        head = self._head(request, system, marked)
        return history.body(head, messages, tail(request), Blocks(model))

    def reply(self, request: ModelRequest, where: str) -> AnthropicReply:
        """Return what collects the reply of one request."""
        return AnthropicReply(request.model.provider_model, where)

    def refusal(
        self, body: Any, *, status: int, where: str, retry_after_s: float | None
    ) -> ProviderError:
        """Read an error response; see `service.Dialect`."""
        error = as_object(body).get("error") or body
        return read_error(error, status=status, where=where, retry_after_s=retry_after_s)

    def _head(self, request: ModelRequest, system: str, marked: bool) -> bytes:
        start: dict[str, Any] = {"model": request.model.provider_model, "stream": True}
        if system and marked:
            start["system"] = [{"type": "text", "text": system, "cache_control": EPHEMERAL}]
        elif system:
            start["system"] = system
        tools = b',"tools":' + self._tools.of(request.tools) if request.tools else b""
        return to_json(start)[:-1] + tools + b',"messages":['


def read_error(
    error: Any, *, status: int = 0, where: str = "", retry_after_s: float | None = None
) -> ProviderError:
    """Build the error for an error object, at any HTTP status or in a stream."""
    facts = as_object(error)
    if "credit balance" in str(facts.get("message", "")).lower():
        error = {**facts, "type": "billing_error"}  # comes as an `invalid_request_error`
    found = service_error(error, status=status, where=where, retry_after_s=retry_after_s)
    if "prefix_mismatch_behavior" in found.what:
        found.fix = "set `options.binding: true` for this model in its entry"
    return found


class Blocks:
    """How this dialect writes messages, for one model; see `history.Encode`."""

    def __init__(self, model: str) -> None:
        self._model = model

    def message(self, message: Message, state: State) -> tuple[bytes, State]:
        """Encode the blocks of one message."""
        turn = "assistant" if message.role == "assistant" else "user"
        start = b',{"role":"' + turn.encode() + b'","content":['
        added, state = grow(state, turn, start, self._blocks(message))
        if CACHE_MARKER in message.metadata:
            mark, state = _marker(state)
            added += mark
        return added, state

    def rest(self, state: State) -> bytes:
        """Close the last turn."""
        return close(state)

    def _blocks(self, message: Message) -> list[bytes]:
        if message.role == "assistant":
            return self._assistant(message)
        if message.role == "tool":
            return [to_json(_result(message))]
        if message.role in SYSTEM_ROLES:
            return _blocks([Text(instruction(message.text))] if message.text else [])
        return _blocks(message.parts)

    def _assistant(self, message: Message) -> list[bytes]:
        blocks = []
        for what, _ in placed(message, layout_of(message, OPAQUE, self._model)):
            if isinstance(what, str):
                blocks += _blocks([Text(what)])
            elif isinstance(what, ToolCall):
                blocks.append(to_json(_call(what)))
            else:
                blocks.append(to_json(what))
        return blocks


def tail(request: ModelRequest) -> bytes:
    """Encode what follows the messages: the options."""
    habit = habits(request)
    choice = _choice(request)
    thinking, effort, cap = _thinking(request, habit, forced=choice.get("type") in ("any", "tool"))
    options: dict[str, Any] = {"max_tokens": cap, **thinking}
    output: dict[str, Any] = {"effort": effort} if effort else {}
    if schema := _format(request):
        output["format"] = {"type": "json_schema", "schema": schema}
    if output:
        options["output_config"] = output
    if habit.sampling and "thinking" not in thinking:
        options |= _sampling(request)
    if choice:
        options["tool_choice"] = choice
    if request.options.user:
        options["metadata"] = {"user_id": request.options.user}
    if stop := request.model.options.get("stop"):
        options["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    # One request without tools is not asked again, and writing a cache costs.
    if request.tools and request.model.options.get("cache", True):
        options["cache_control"] = EPHEMERAL
    options |= as_object(request.model.options.get("extra_body"))
    return b"]," + to_json(options)[1:]


def encode_tools(tools: tuple[ToolSpec, ...]) -> bytes:
    """Encode the list of tools."""
    return to_json(
        [
            {"name": t.name, "description": t.description, "input_schema": schema_of(t)}
            for t in tools
        ]
    )


def wire_id(call_id: str) -> str:
    """Return a call's id as this API takes it; different ids stay different.

    Source: spec/agent.md 6.10, which lets two ids collide when they differ in what is replaced.
    """
    if re.fullmatch(r"[A-Za-z0-9_-]+", call_id):
        return call_id
    clean = re.sub(r"[^A-Za-z0-9_-]", "-", call_id)
    return f"{clean}-{hashlib.sha256(call_id.encode()).hexdigest()[:8]}"


def _thinking(
    request: ModelRequest, habit: Habits, *, forced: bool
) -> tuple[dict[str, Any], str, int]:
    """Return the thinking parameter, the effort and the cap of the reply."""
    card = request.model
    cap = max_tokens(request) or card.output_tokens or DEFAULT_MAX_TOKENS
    effort = wanted_effort(request) or 0
    # A forced call is refused together with a budget.
    if habit.thinking == "budget" and effort > 0 and not forced:
        span = LARGEST_BUDGET - SMALLEST_BUDGET
        budget = round(SMALLEST_BUDGET + span * min(effort, 100) / 100)
        if cap <= budget:
            cap = budget + SMALLEST_BUDGET
        if card.output_tokens and cap > card.output_tokens:
            cap = card.output_tokens
        budget = max(SMALLEST_BUDGET, min(budget, cap - SMALLEST_BUDGET))
        return {"thinking": {"type": "enabled", "budget_tokens": budget}}, "", cap
    if habit.thinking != "adaptive":
        return {}, "", cap
    thinking: dict[str, Any] = {}
    if effort > 0 or habit.binding:
        thinking = {"type": "adaptive", "display": "summarized"}
    if habit.binding:
        thinking["block_binding"] = {"prefix_mismatch_behavior": "drop_block"}
    level = "" if wanted_effort(request) is None else level_of(effort, EFFORTS)
    return ({"thinking": thinking} if thinking else {}), level, cap


def _format(request: ModelRequest) -> dict[str, Any] | None:
    """Return the schema that the service shall enforce, if it can."""
    schema = wanted_schema(request)
    if schema is None or request.model.provider_model.startswith(_WITHOUT_FORMAT):
        return None
    return closed_schema(schema)


def _sampling(request: ModelRequest) -> dict[str, Any]:
    options = request.model.options
    wanted = request.options.temperature
    temperature = options.get("temperature") if wanted is None else wanted
    values = {"temperature": temperature, **{name: options.get(name) for name in FORWARDED}}
    return {name: value for name, value in values.items() if value is not None}


def _choice(request: ModelRequest) -> dict[str, Any]:
    """Return the tool choice, or nothing for the default."""
    mode, name = tool_choice(request) or ("", "")
    found: dict[str, Any] = {}
    if name:
        found = {"type": "tool", "name": name}
    elif mode:
        found = {"type": {"required": "any"}.get(mode, mode)}
    if request.tools and request.model.options.get("parallel_tool_calls") is False:
        found = (found or {"type": "auto"}) | {"disable_parallel_tool_use": True}
    return found


def _marker(state: State) -> tuple[bytes, State]:
    """Make the last block of the open turn a place to cache up to, if one is left."""
    if not state or state[1] >= MAX_MARKERS or len(state) > 2:
        return b"", state
    return b',"cache_control":' + to_json(EPHEMERAL), (state[0], state[1] + 1, "marked")


def _blocks(parts: tuple[Part, ...] | list[Text]) -> list[bytes]:
    """Encode parts; a text of nothing but blanks is refused by the service, so it goes."""
    return [to_json(_part(p)) for p in parts if not isinstance(p, Text) or p.text.strip()]


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Image):
        return {"type": "image", "source": _source(part)}
    return {"type": "document", "source": _document(part)}


def _source(image: Image) -> dict[str, Any]:
    if image.url:
        return {"type": "url", "url": image.url}
    return {"type": "base64", "media_type": image.mime or "image/png", "data": image.data}


def _document(document: Document) -> dict[str, Any]:
    if document.mime.startswith("text/"):
        text = base64.b64decode(document.data).decode("utf-8", "replace")
        return {"type": "text", "media_type": "text/plain", "data": text}
    return {"type": "base64", "media_type": document.mime, "data": document.data}


def _call(call: ToolCall) -> Mapping[str, Any]:
    arguments = msgspec.Raw(arguments_for_wire(call.arguments).encode())
    return {"type": "tool_use", "id": wire_id(call.id), "name": call.name, "input": arguments}


def _result(message: Message) -> dict[str, Any]:
    wire: dict[str, Any] = {"type": "tool_result", "tool_use_id": wire_id(message.tool_call_id)}
    if all(isinstance(part, Text) for part in message.parts):
        wire["content"] = message.text
    else:
        wire["content"] = [msgspec.Raw(block) for block in _blocks(message.parts)]
    return wire | ({"is_error": True} if message.metadata.get("error") else {})
