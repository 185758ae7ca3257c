"""What the dialects share: values of a request, calls of a reply, errors of a service."""

import secrets
import string
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct, field

from micro_agi.errors import InputInvalid
from micro_agi.llm.failure import ProviderError, classify, is_final, provider_error
from micro_agi.llm.request import ModelRequest, ProviderAccess
from micro_agi.llm.structured import enforces, is_strict
from micro_agi.messages import Image, ToolCall, ToolSpec
from micro_agi.net.client import Headers
from micro_agi.values import as_object, content_hash, nearest

SYSTEM_ROLES = ("system", "developer")
# Some local servers number the calls of each reply from 0. Ids are keys of the journal,
# so short ones are replaced. Nine letters and digits is what the strictest server takes.
SHORTEST_ID = 9
_ALPHABET = string.ascii_letters + string.digits
Carried: TypeAlias = tuple[Image, ...]
"""Images of tool results that wait for the end of the run of tool messages."""
_json = msgspec.json.Encoder()


def to_json(value: Any) -> bytes:
    """Encode compactly, in the order given: equal requests have equal bytes."""
    return _json.encode(value)


def image_url(image: Image) -> str:
    """Return the image's address, or its content as a data URL."""
    return image.url or f"data:{image.mime or 'image/png'};base64,{image.data}"


def arguments_for_wire(text: str) -> str:
    """Return the arguments of an earlier call as the model wrote them, if they are an object.

    Servers parse the history with their chat template and fail on anything else, which
    would end the session; so what is malformed is shown to the model inside an object.
    """
    if not text.strip():
        return "{}"
    try:
        fits = isinstance(msgspec.json.decode(text), dict)
    except msgspec.DecodeError:
        fits = False
    return text if fits else to_json({"malformed": text}).decode()


def leading_system(request: ModelRequest) -> tuple[str, int]:
    """Return the system text with that of the messages it starts with, and their number.

    Many chat templates take one system message, and only at the start.
    """
    count = 0
    texts = [request.system] if request.system else []
    for message in request.messages:
        if message.role not in SYSTEM_ROLES:
            break
        count += 1
        if message.text:
            texts.append(message.text)
    return "\n\n".join(texts), count


def max_tokens(request: ModelRequest) -> int | None:
    """Return the cap of the reply: the request's, else the card's option, within the model's."""
    card = request.model
    wanted = request.options.max_tokens
    wanted = card.options.get("max_tokens") if wanted is None else wanted
    if wanted is None:
        return None
    return min(int(wanted), card.output_tokens) if card.output_tokens else int(wanted)


def is_reasoning(request: ModelRequest) -> bool:
    """Whether the card says that reasoning options are understood."""
    return request.model.options.get("reasoning_model_request") is True


def temperature(request: ModelRequest) -> float | None:
    """Return the temperature to send; reasoning models take none."""
    if is_reasoning(request):
        return None
    wanted = request.options.temperature
    return request.model.options.get("temperature") if wanted is None else wanted


def wanted_effort(request: ModelRequest) -> int | None:
    """Return the thinking effort, 0 to 100: the request's, else the model card's, else None."""
    wanted = request.options.thinking_effort
    return request.model.thinking_effort if wanted is None else wanted


def thinking_kind(request: ModelRequest, usual: str, known: tuple[str, ...]) -> str:
    """Return how the request's model is asked to think: what its entry says, else `usual`.

    Raises: InputInvalid when the entry says something that is none of `known`.
    """
    card = request.model
    if card.capabilities and "thinking" not in card.capabilities:
        usual = "none"
    kind = card.options.get("thinking", usual)
    if kind not in known:
        raise InputInvalid(
            f"model `{card.name}` has `options.thinking: {kind}`",
            where="providers[0].options.thinking",
            fix=f"use one of: {', '.join(known)}",
        )
    return str(kind)


def level_of(effort: float, levels: Iterable[tuple[float, str]]) -> str:
    """Return the first level whose bound is above the effort."""
    return next(name for below, name in levels if effort < below)


def effort(request: ModelRequest, levels: Iterable[tuple[float, str]]) -> str | None:
    """Return the level of the wanted effort, or None if none is wanted or understood."""
    wanted = wanted_effort(request)
    return level_of(wanted, levels) if is_reasoning(request) and wanted is not None else None


def tool_choice(request: ModelRequest) -> tuple[str, str] | None:
    """Return (`mode`, "") or (`function`, name); None for the default, which is not sent.

    Raises: InputInvalid for the name of a tool that the request does not have.
    """
    wanted = request.options.tool_choice
    if not request.tools or wanted in ("", "auto"):
        return None
    if wanted in ("any", "required"):
        return ("required", "")
    if wanted == "none":
        return ("none", "")
    names = [tool.name for tool in request.tools]
    if wanted not in names:
        raise InputInvalid(
            f"the tool to choose, `{wanted}`, is not among the request's tools",
            fix=f"use auto, any, none, or one of: {', '.join(nearest(wanted, names) or names[:8])}",
        )
    return ("function", wanted)


def wanted_schema(request: ModelRequest) -> Mapping[str, Any] | None:
    """Return the wanted schema of the answer, for models that say they can keep to one."""
    return request.options.schema if enforces(request.model) else None


def json_schema(request: ModelRequest) -> dict[str, Any] | None:
    """Return the wanted schema as OpenAI's dialects have it; None as `wanted_schema`."""
    schema = wanted_schema(request)
    if schema is None:
        return None
    name = "schema_" + content_hash(schema)[:16]
    return {"name": name, "schema": dict(schema), "strict": is_strict(schema)}


class OpenAiDialect:
    """What both OpenAI dialects do alike."""

    def headers(self, request: ModelRequest, access: ProviderAccess) -> Headers:
        """Return the key's header and the organization's; see `service.Dialect`."""
        found = []
        if access.api_key:
            found.append(("Authorization", f"Bearer {access.api_key.reveal()}"))
        if access.organization:
            found.append(("OpenAI-Organization", access.organization))
        return found

    def refusal(
        self, body: Any, *, status: int, where: str, retry_after_s: float | None
    ) -> ProviderError:
        """Read an error response; see `service.Dialect`."""
        facts = as_object(body)
        error = facts.get("error") or facts.get("detail") or body
        return service_error(error, status=status, where=where, retry_after_s=retry_after_s)


def schema_of(tool: ToolSpec) -> dict[str, Any]:
    """Return the tool's schema; servers want an object with `properties`, even an empty one."""
    if tool.schema.get("type") == "object" and "properties" in tool.schema:
        return tool.schema
    return {"type": "object", "properties": {}, **tool.schema}


class PartialCall(Struct):
    """A tool call whose pieces are still coming."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    provider: dict[str, Any] = field(default_factory=dict)


def new_call_id(length: int = SHORTEST_ID) -> str:
    """Return a random id for a call that has none of its own."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def complete_calls(calls: Iterable[PartialCall]) -> tuple[ToolCall, ...]:
    """Turn finished pieces into calls with ids that are unique and fit to be keys."""
    seen: set[str] = set()
    complete = []
    for call in calls:
        id_ = call.id
        if len(id_) < SHORTEST_ID or id_ in seen:
            id_ = new_call_id()
        seen.add(id_)
        arguments = "".join(call.arguments).strip() or "{}"
        complete.append(
            ToolCall(id=id_, name=call.name, arguments=arguments, provider=call.provider)
        )
    return tuple(complete)


def as_text(arguments: Any) -> str:
    """Return arguments as text: some servers send the object itself instead of its JSON."""
    if isinstance(arguments, str) or arguments is None:
        return arguments or ""
    return to_json(arguments).decode()


def as_list(value: Any) -> list[Any]:
    """Return `value` if it is a list, else an empty one; for optional parts of parsed data."""
    return value if isinstance(value, list) else []


def count(value: Any) -> int:
    """Read a number of tokens; anything else is 0."""
    return int(value) if isinstance(value, int | float) and value > 0 else 0


def service_error(
    error: Any, *, status: int = 0, where: str = "", retry_after_s: float | None = None
) -> ProviderError:
    """Build the error for an error object of the service, at any HTTP status or in a stream."""
    facts: Mapping[str, Any] = as_object(error)
    message = facts.get("message") if facts else error
    text = str(message or "the service reported an error without saying which")[:2000]
    code, kind = str(facts.get("code") or ""), str(facts.get("type") or "")
    if not status and code.isdecimal():
        status = int(code)  # some services put the HTTP status there
    found = classify(status, code=code, kind=kind, message=text)
    final = found == "rate_limit_exceeded" and is_final(code, kind)
    return provider_error(
        found,
        text,
        where=where,
        fix="add credit at the provider, or use another model" if final else "",
        status=status,
        retryable=False if final else None,
        retry_after_s=retry_after_s,
    )
