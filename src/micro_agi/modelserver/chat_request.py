"""Read the body of a request into values, once, and refuse what would be ignored in silence.

Source: OpenAI's Chat Completions and Completions. A field that is known there and cannot be
honoured here is refused, unless it is set to what happens anyway.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from micro_agi.errors import InputInvalid
from micro_agi.messages import Message, Part, Role, Text, ToolCall, ToolSpec
from micro_agi.modelserver.engine import Sampling
from micro_agi.values import as_object, nearest

MAX_STOPS = 16
COMPLETION_TOKENS = 16
"""Of `/v1/completions` without `max_tokens`, as OpenAI has it."""

Choice: TypeAlias = Literal["auto", "none", "required"]
_IGNORED = ("user", "metadata", "store", "service_tier", "prompt_cache_key", "safety_identifier")
_ONLY: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "logprobs": (False, 0),
    "top_logprobs": (0,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "parallel_tool_calls": (True,),
}
"""What happens anyway; any other value of these is refused."""
_COMMON = (
    "model",
    "stream",
    "stream_options",
    "temperature",
    "top_p",
    "max_tokens",
    "stop",
    "seed",
)
_CHAT = (*_COMMON, "messages", "tools", "tool_choice", "max_completion_tokens", "reasoning_effort")
_COMPLETION = (*_COMMON, "prompt")
_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


class Limits(Struct, frozen=True, kw_only=True):
    """What both kinds of requests share."""

    model: str
    sampling: Sampling
    max_tokens: int | None
    stop: tuple[str, ...]
    stream: bool
    stream_usage: bool
    """Whether the stream ends with the usage."""


class ChatRequest(Struct, frozen=True, kw_only=True):
    """A request for the next message of a conversation."""

    limits: Limits
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]
    """Empty when none may be called."""
    choice: Choice = "auto"
    name: str = ""
    """The tool that must be called; `choice` is `required` then."""


class CompletionRequest(Struct, frozen=True, kw_only=True):
    """A request for the continuation of a text, or of tokens."""

    limits: Limits
    prompt: str | tuple[int, ...]


def read_chat(body: bytes) -> ChatRequest:
    """Read a request for `/v1/chat/completions`.

    Raises: InputInvalid; `where` is the path inside the body.
    """
    given = _object(body, _CHAT)
    tools = tuple(
        _tool(item, f"tools[{n}]") for n, item in enumerate(_list(given, "tools", required=False))
    )
    choice, name = _choice(given.get("tool_choice"), tools)
    items = _list(given, "messages", required=True)
    return ChatRequest(
        limits=_limits(given, cap=given.get("max_completion_tokens")),
        messages=tuple(_message(item, f"messages[{n}]") for n, item in enumerate(items)),
        tools=() if choice == "none" else tools,
        choice=choice,
        name=name,
    )


def read_completion(body: bytes) -> CompletionRequest:
    """Read a request for `/v1/completions`.

    Raises: InputInvalid; `where` is the path inside the body.
    """
    given = _object(body, _COMPLETION)
    prompt = given.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str | list):
        prompt = prompt[0]
    if isinstance(prompt, list) and prompt and all(type(t) is int and t >= 0 for t in prompt):
        prompt = tuple(prompt)
    if not isinstance(prompt, str | tuple) or not prompt:
        raise _wrong("prompt", prompt, "give one text, or one list of tokens")
    if given.get("max_tokens") is None:
        given = {**given, "max_tokens": COMPLETION_TOKENS}
    return CompletionRequest(limits=_limits(given), prompt=prompt)


def _object(body: bytes, known: Sequence[str]) -> dict[str, Any]:
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputInvalid(
            f"the body is not JSON: {error}", where="body", fix="send one JSON object"
        ) from None
    if not isinstance(given, dict):
        raise InputInvalid("the body is no object", where="body", fix="send one JSON object")
    for name, value in given.items():
        if name in _ONLY:
            if value is not None and value not in _ONLY[name]:
                raise _wrong(
                    name, value, f"leave it out: only {_shown(_ONLY[name][0])} is possible"
                )
        elif name not in known and name not in _IGNORED:
            near = nearest(name, known) or list(known)
            raise InputInvalid(
                f"there is no field `{name}`", where=name, fix=f"did you mean: {', '.join(near)}"
            )
    return given


def _limits(given: Mapping[str, Any], *, cap: Any = None) -> Limits:
    stop = given.get("stop")
    stops = [stop] if isinstance(stop, str) else stop or []
    if (
        not isinstance(stops, list)
        or len(stops) > MAX_STOPS
        or not all(isinstance(s, str) and s for s in stops)
    ):
        raise _wrong("stop", stop, f"give a text, or up to {MAX_STOPS} texts that are not empty")
    model = given.get("model")
    if not isinstance(model, str) or not model:
        raise _wrong("model", model, "name the model; `GET /v1/models` lists it")
    options = as_object(given.get("stream_options"))
    name, most = (
        ("max_tokens", given.get("max_tokens"))
        if cap is None
        else (
            "max_completion_tokens",
            cap,
        )
    )
    return Limits(
        model=model,
        sampling=Sampling(
            temperature=_number(given, "temperature", 0, 2),
            top_p=_number(given, "top_p", 0, 1),
            seed=_whole("seed", given.get("seed"), -(2**63)),
        ),
        max_tokens=_whole(name, most, 1),
        stop=tuple(stops),
        stream=_flag("stream", given.get("stream")),
        stream_usage=_flag("stream_options.include_usage", options.get("include_usage")),
    )


def _message(item: Any, where: str) -> Message:
    given = as_object(item)
    role = _ROLES.get(str(given.get("role")))
    if role is None:
        raise _wrong(f"{where}.role", given.get("role"), f"use one of: {', '.join(_ROLES)}")
    calls = given.get("tool_calls") or []
    if not isinstance(calls, list) or (calls and role != "assistant"):
        raise _wrong(f"{where}.tool_calls", calls, "a list, in a message of the assistant")
    return Message(
        role=role,
        parts=_parts(given.get("content"), f"{where}.content"),
        tool_calls=tuple(_call(call, f"{where}.tool_calls[{n}]") for n, call in enumerate(calls)),
        tool_call_id=_text(given, "tool_call_id", where),
        name=_text(given, "name", where),
        metadata={"thinking": thinking}
        if (thinking := given.get("reasoning_content")) and isinstance(thinking, str)
        else {},
    )


def _parts(content: Any, where: str) -> tuple[Part, ...]:
    if content is None or content == "":
        return ()
    if isinstance(content, str):
        return (Text(content),)
    if not isinstance(content, list):
        raise _wrong(where, content, "give a text, or a list of parts")
    parts: list[Part] = []
    for n, item in enumerate(content):
        part = as_object(item)
        text = part.get("text")
        if part.get("type", "text") != "text" or not isinstance(text, str):
            raise InputInvalid(
                f"a part of type {_shown(part.get('type'))} cannot be read: the model reads text",
                where=f"{where}[{n}]",
                fix="send parts of type text only",
            )
        parts.append(Text(text))
    return tuple(parts)


def _call(item: Any, where: str) -> ToolCall:
    given = as_object(item)
    function = as_object(given.get("function"))
    name, arguments = function.get("name"), function.get("arguments", "{}")
    if not isinstance(name, str) or not name:
        raise _wrong(f"{where}.function.name", name, "name the tool that was called")
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    return ToolCall(id=_text(given, "id", where), name=name, arguments=arguments)


def _tool(item: Any, where: str) -> ToolSpec:
    given = as_object(item)
    function = as_object(given.get("function"))
    if given.get("type", "function") != "function":
        raise _wrong(f"{where}.type", given.get("type"), 'only "function" is possible')
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise _wrong(f"{where}.function.name", name, "name the tool")
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    if not isinstance(schema, dict):
        raise _wrong(f"{where}.function.parameters", schema, "give a JSON Schema")
    about = _text(function, "description", f"{where}.function")
    return ToolSpec(id=name, name=name, description=about, schema=schema)


def _choice(given: Any, tools: Sequence[ToolSpec]) -> tuple[Choice, str]:
    names = [tool.name for tool in tools]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise _wrong("tools", double, "each tool needs a name of its own")
    if given is None or given in ("auto", "none"):
        return ("none" if given == "none" else "auto"), ""
    name = as_object(as_object(given).get("function")).get("name")
    if given == "required" or isinstance(name, str):
        if not tools:
            raise _wrong("tool_choice", given, "it needs `tools`")
        if name is not None and name not in names:
            raise _wrong("tool_choice", name, f"name one of the tools: {', '.join(names)}")
        # With one tool, any call is a call of it.
        return "required", str(name or (names[0] if len(names) == 1 else ""))
    fix = 'use "auto", "none", "required" or {"type": "function", "function": {"name": …}}'
    raise _wrong("tool_choice", given, fix)


def _list(given: Mapping[str, Any], name: str, *, required: bool) -> list[Any]:
    value = given.get(name)
    if value is None and not required:
        return []
    if not isinstance(value, list) or (required and not value):
        raise _wrong(name, value, "give a list" + " that is not empty" * required)
    return value


def _text(given: Mapping[str, Any], name: str, where: str) -> str:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise _wrong(f"{where}.{name}", value, "give a text")
    return value or ""


def _number(given: Mapping[str, Any], name: str, least: float, most: float) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise _wrong(name, value, f"give a number from {least} to {most}")
    return float(value)


def _whole(name: str, value: Any, least: int) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not least <= value < 2**63:
        raise _wrong(name, value, "give a whole number" + f", at least {least}" * (least > 0))
    return value


def _flag(name: str, value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise _wrong(name, value, "give true or false")


def _wrong(where: str, value: Any, fix: str) -> InputInvalid:
    return InputInvalid(f"{_shown(value)} is no value for `{where}`", where=where, fix=fix)


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return f"`{text if len(text) <= 60 else text[:60] + '…'}`"
