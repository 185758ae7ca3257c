"""Write requests of the Chat Completions dialect: pure functions.

The body is `head` + messages + `tail`: what stays the same from step to step comes first,
so the server's prefix cache and our own hash need only look at what is new.

Source: spec/agent.md 6.9. Differences: system and developer messages keep their place
(those at the start become one), empty arguments go out as `{}`, and a model-level
`thinking_effort` counts.
"""

from typing import Any

from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.history import History, Kept
from micro_agi.llm.providers.openai_chat_reply import ChatReply
from micro_agi.llm.providers.parts import (
    SYSTEM_ROLES,
    Carried,
    OpenAiDialect,
    arguments_for_wire,
    effort,
    image_url,
    is_reasoning,
    json_schema,
    leading_system,
    max_tokens,
    schema_of,
    temperature,
    to_json,
    tool_choice,
)
from micro_agi.llm.request import ModelOptions, ModelRequest
from micro_agi.messages import Document, Image, Message, Part, Text, ToolSpec
from micro_agi.values import as_object

EFFORTS = ((25, "low"), (75, "medium"), (float("inf"), "high"))
FORWARDED = ("top_p", "frequency_penalty", "presence_penalty", "seed", "stop", "store")
IMAGE_NOTE = "Images from the tool results above:"


class ChatDialect(OpenAiDialect):
    """The dialect with its caches; one per provider."""

    def __init__(self, *, compatible: bool) -> None:
        """With `compatible`, developer messages are sent as system ones, which all servers know."""
        self._developer = "system" if compatible else "developer"
        self._history = History()
        self._tools = Kept(encode_tools)
        self._envelopes = Kept(self._envelope)

    def path(self, request: ModelRequest) -> str:
        """Return what follows the base URL."""
        return "/chat/completions"

    def body(self, request: ModelRequest) -> tuple[bytes, str]:
        """Return the request's exact bytes and their hash."""
        system, count = leading_system(request)
        messages = request.messages[count:] if count else request.messages
        head, ending = self._envelopes.of(request.model, system, request.tools, request.options)
        return self._history.body(head, messages, ending, self)

    def reply(self, request: ModelRequest, where: str) -> ChatReply:
        """Return what collects the reply of one request."""
        return ChatReply(where)

    def message(self, message: Message, carried: Carried) -> tuple[bytes, Carried]:
        """Encode one message; see `history.Encode`."""
        if message.role == "tool":
            images = tuple(p for p in message.parts if isinstance(p, Image))
            return b"," + to_json(_tool_result(message)), carried + images
        return self.rest(carried) + b"," + to_json(self._plain(message)), ()

    def rest(self, carried: Carried) -> bytes:
        """Encode the images of a finished run of tool results, which tool messages cannot hold."""
        if not carried:
            return b""
        return b"," + to_json({"role": "user", "content": _content((Text(IMAGE_NOTE), *carried))})

    def _envelope(
        self, model: ModelCard, system: str, tools: tuple[ToolSpec, ...], options: ModelOptions
    ) -> tuple[bytes, bytes]:
        """Return what stands before and after the messages of a conversation."""
        request = ModelRequest(
            model=model, system=system, messages=(), tools=tools, options=options
        )
        return self._head(request, system), tail(request)

    def _head(self, request: ModelRequest, system: str) -> bytes:
        start = to_json(
            {
                "model": request.model.provider_model,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
        )
        tools = b',"tools":' + self._tools.of(request.tools) if request.tools else b""
        first = to_json({"role": "system", "content": system}) if system else b""
        return start[:-1] + tools + b',"messages":[' + first

    def _plain(self, message: Message) -> dict[str, Any]:
        if message.role == "assistant":
            return _assistant(message)
        if message.role in SYSTEM_ROLES:
            role = self._developer if message.role == "developer" else message.role
            return {"role": role, "content": message.text}
        user = {"role": "user", "content": _content(message.parts)}
        return user | {"name": message.name} if message.name else user


def tail(request: ModelRequest) -> bytes:
    """Encode what follows the messages: the options."""
    options: dict[str, Any] = {}
    cap = max_tokens(request)
    if cap is not None:
        options["max_completion_tokens" if is_reasoning(request) else "max_tokens"] = cap
    optional = {
        "temperature": temperature(request),
        "reasoning_effort": effort(request, EFFORTS),
        "tool_choice": _choice(request),
        "parallel_tool_calls": _parallel(request),
        "response_format": _format(request),
        "user": request.options.user or None,
        **{name: request.model.options.get(name) for name in FORWARDED},
    }
    options |= {name: value for name, value in optional.items() if value is not None}
    options |= as_object(request.model.options.get("extra_body"))
    return b"]," + to_json(options)[1:] if options else b"]}"


def encode_tools(tools: tuple[ToolSpec, ...]) -> bytes:
    """Encode the list of tools."""
    return to_json(
        [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": schema_of(tool),
                },
            }
            for tool in tools
        ]
    )


def _choice(request: ModelRequest) -> Any:
    choice = tool_choice(request)
    if choice is None:
        return None
    mode, name = choice
    return {"type": "function", "function": {"name": name}} if name else mode


def _format(request: ModelRequest) -> Any:
    described = json_schema(request)
    return {"type": "json_schema", "json_schema": described} if described else None


def _parallel(request: ModelRequest) -> Any:
    return request.model.options.get("parallel_tool_calls") if request.tools else None


def _assistant(message: Message) -> dict[str, Any]:
    # Content is never null: some servers' templates fail on it.
    wire: dict[str, Any] = {"role": "assistant", "content": message.text}
    if message.tool_calls:
        wire["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": arguments_for_wire(call.arguments)},
            }
            for call in message.tool_calls
        ]
    return wire


def _tool_result(message: Message) -> dict[str, Any]:
    wire = {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.text}
    return wire | {"name": message.name} if message.name else wire


def _content(parts: tuple[Part, ...]) -> Any:
    if len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0].text
    return [_part(part) for part in parts] or ""


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Image):
        return {"type": "image_url", "image_url": {"url": image_url(part)}}
    assert isinstance(part, Document)
    data = f"data:{part.mime};base64,{part.data}"
    return {"type": "file", "file": {"filename": "document", "file_data": data}}
