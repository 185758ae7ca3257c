"""Turn conversations as Lua code has them into messages, and what models say into Lua values.

A Lua conversation is the list of `wippy.llm:prompt`: plain data, in which a tool call and its
result are messages of their own. What a model said is remembered by the id of its calls for
as long as the Lua call lives, so that it goes back to the model byte for byte and with
the signatures that Lua code has no place for.

Source: spec/agent.md 6.1, 3.2.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct, field

from micro_agi.errors import InputInvalid
from micro_agi.llm.request import Reply
from micro_agi.messages import (
    CACHE_MARKER,
    Document,
    Image,
    Message,
    Part,
    Role,
    Text,
    ToolCall,
    ToolSpec,
    Usage,
)
from micro_agi.values import as_object

ROLES = ("system", "developer", "user", "assistant")
_encode = msgspec.json.Encoder().encode


class Said(Struct):
    """What models said in one Lua call, by the id of the tool call."""

    calls: dict[str, tuple[ToolCall, Mapping[str, Any]]] = field(default_factory=dict)
    read: tuple[list[Any], list[Message]] = field(default_factory=lambda: ([], []))
    """The conversation that was read last, as it came and as messages: it mostly grows, and
    the same objects in front are what makes a step cheap (`llm.history`)."""

    def remember(self, message: Message) -> None:
        """Keep the tool calls of a model's message, and what its provider wants back."""
        for call in message.tool_calls:
            self.calls[call.id] = (call, message.metadata)


def read_conversation(value: Any, said: Said) -> list[Message]:
    """Read a text, a list of messages, or a map with `messages`.

    Raises: InputInvalid naming the message that is none.
    """
    if isinstance(value, Mapping) and "messages" in value:
        value = value["messages"]
    if isinstance(value, str) and value:
        return [Message(role="user", parts=(Text(value),))]
    if not isinstance(value, list) or not value:
        raise InputInvalid(
            "Invalid prompt input format",
            where="prompt",
            fix="give a text, a prompt builder, or a list of at least one message",
        )
    raw, known = said.read
    grown = len(value) >= len(raw) and value[: len(raw)] == raw
    messages = list(known) if grown else []
    for number in range(len(raw) if grown else 0, len(value)):
        _add(messages, as_object(value[number]), f"message {number + 1}", said)
    said.read = (value, list(messages))
    return messages


def _add(messages: list[Message], item: Mapping[str, Any], where: str, said: Said) -> None:
    role = item.get("role")
    match role:
        case "function_call":
            _add_call(messages, item, where, said)
        case "function_result":
            _add_result(messages, item, where)
        case "cache_marker":
            if messages:
                marked = {**messages[-1].metadata, CACHE_MARKER: str(item.get("marker_id") or "")}
                messages[-1] = msgspec.structs.replace(messages[-1], metadata=marked)
        case "system" | "developer" | "user" | "assistant":
            messages.append(_plain(role, item, where))
        case _:
            raise InputInvalid(
                f"`{role}` is no role",
                where=where,
                fix="use one of: system, developer, user, assistant, function_call, "
                "function_result, cache_marker",
            )


def _plain(role: Role, item: Mapping[str, Any], where: str) -> Message:
    return Message(
        role=role,
        parts=read_parts(item.get("content"), where),
        name=str(item.get("name") or ""),
        metadata=dict(as_object(item.get("metadata"))),
    )


def _add_call(messages: list[Message], item: Mapping[str, Any], where: str, said: Said) -> None:
    """Add a tool call to the assistant's message before it, or to one of its own."""
    facts = as_object(item.get("function_call"))
    name = facts.get("name")
    if not isinstance(name, str) or not name:
        raise InputInvalid("a function call names no function", where=where, fix="give its name")
    arguments = facts.get("arguments")
    call = ToolCall(
        id=str(facts.get("id") or f"call_{len(messages)}"),
        name=name,
        arguments=arguments if isinstance(arguments, str) else _encode(arguments or {}).decode(),
        provider=dict(as_object(facts.get("provider_metadata"))),
    )
    opaque: Mapping[str, Any] = {}
    original = said.calls.get(call.id)
    if original is not None and _same(original[0], call):
        call, opaque = original
    last = messages[-1] if messages else None
    if last is None or last.role != "assistant":
        last = Message(role="assistant")
        messages.append(last)
    messages[-1] = msgspec.structs.replace(
        last, tool_calls=(*last.tool_calls, call), metadata={**last.metadata, **opaque}
    )


def _same(original: ToolCall, call: ToolCall) -> bool:
    """Whether Lua code gave a call back as it got it: an empty list may have become a map."""
    if original.name != call.name:
        return False
    given, got = parsed_arguments(original.arguments), parsed_arguments(call.arguments)
    return bool(_without_empty(given) == _without_empty(got))


def _without_empty(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {key: _without_empty(item) for key, item in value.items() if item is not None}
        return kept or None
    if isinstance(value, list):
        return [_without_empty(item) for item in value] or None
    return value


def _add_result(messages: list[Message], item: Mapping[str, Any], where: str) -> None:
    name = str(item.get("name") or "")
    call_id = item.get("function_call_id") or _unanswered(messages, name)
    if not call_id:
        raise InputInvalid(
            f"the result of `{name}` belongs to no call",
            where=where,
            fix="give the call's id to add_function_call and to add_function_result",
        )
    parts = read_parts(item.get("content"), where)
    messages.append(Message(role="tool", parts=parts, tool_call_id=str(call_id), name=name))


def _unanswered(messages: Sequence[Message], name: str) -> str:
    """Return the id of the newest call of this name without a result."""
    answered = {m.tool_call_id for m in messages}
    for past in reversed(messages):
        for call in reversed(past.tool_calls):
            if call.name == name and call.id not in answered:
                return call.id
    return ""


def read_parts(content: Any, where: str) -> tuple[Part, ...]:
    """Read a message's content: a text, or a list of parts; other values are encoded as JSON.

    Raises: InputInvalid for a part of another type.
    """
    if content is None or content == {}:
        return ()
    if isinstance(content, str):
        return (Text(content),)
    if not isinstance(content, list):
        return (Text(_encode(content).decode()),)
    return tuple(_part(as_object(part), where) for part in content)


def _part(part: Mapping[str, Any], where: str) -> Part:
    source = as_object(part.get("source"))
    mime = str(source.get("mime_type") or "")
    match part.get("type"), source.get("type"):
        case "text", _:
            text = part.get("text")
            return Text(text if isinstance(text, str) else _encode(text).decode())
        case "image", "url" if isinstance(source.get("url"), str):
            return Image(url=source["url"], mime=mime)
        case "image", "base64" if isinstance(source.get("data"), str):
            return Image(data=source["data"], mime=mime)
        case "document", "base64" if isinstance(source.get("data"), str):
            return Document(data=source["data"], mime=mime)
    raise InputInvalid(
        f"a part of type `{part.get('type')}` cannot be sent",
        where=where,
        fix="make parts with prompt.text, prompt.image, prompt.image_base64, "
        "prompt.document_base64",
    )


def parsed_arguments(text: str) -> Any:
    """Return a call's arguments as a value; text that is no JSON stays text."""
    if not text.strip():
        return {}
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def tokens(usage: Usage) -> dict[str, int]:
    """Return token counts by the names that Lua code knows."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "thinking_tokens": usage.thinking,
        "cache_read_tokens": usage.cached,
        "total_tokens": usage.window + usage.completion,
    }


def call_for_lua(call: ToolCall, spec: ToolSpec | None) -> dict[str, Any]:
    """Return a tool call as Lua code gets it; an unknown tool has no `registry_id`."""
    facts: dict[str, Any] = {
        "id": call.id,
        "name": call.name,
        "arguments": parsed_arguments(call.arguments),
    }
    if spec is not None:
        facts["registry_id"] = spec.id
        facts["context"] = dict(spec.context)
    if call.provider:
        facts["provider_metadata"] = dict(call.provider)
    return facts


def message_for_lua(message: Message) -> dict[str, Any]:
    """Return a message without tool calls as the Lua builder holds it."""
    content = [{"type": "text", "text": p.text} for p in message.parts if isinstance(p, Text)]
    return {"role": message.role, "content": content, "metadata": message.metadata}


def reply_for_lua(reply: Reply, tools: Mapping[str, ToolSpec]) -> dict[str, Any]:
    """Return the result of `llm.generate`."""
    return {
        "result": reply.text,
        "tool_calls": [call_for_lua(c, tools.get(c.name)) for c in reply.tool_calls],
        "tokens": tokens(reply.usage),
        "finish_reason": reply.finish_reason,
        "metadata": metadata_for_lua(reply),
    }


def metadata_for_lua(reply: Reply) -> dict[str, Any]:
    """Return what is worth knowing about an exchange beside its result."""
    facts: dict[str, Any] = {"model": reply.model, **reply.metadata}
    if reply.thinking:
        facts["thinking"] = reply.thinking
    if reply.cost_usd is not None:
        facts["cost_usd"] = reply.cost_usd
    return facts
