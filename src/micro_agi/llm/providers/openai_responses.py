"""Write requests of the Responses dialect: pure functions.

The server is asked to store nothing, so a model's reasoning comes back encrypted and is
returned with the calls and the text it led to; another model never gets it.

Source: spec/agent.md 6.8. Differences: only the system messages at the start become the
instructions, later notes keep their place; documents are sent; reasoning is replayed.
"""

from typing import Any

from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.history import History, Kept
from micro_agi.llm.providers.openai_responses_reply import OPAQUE, ResponsesReply
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

EFFORTS = (
    *((0.5, "minimal"), (25, "low"), (60, "medium")),
    *((90, "high"), (float("inf"), "xhigh")),
)
IMAGE_NOTE = "Images from the tool results above:"


class ResponsesDialect(OpenAiDialect):
    """The dialect with its caches; one per provider."""

    def __init__(self) -> None:
        # By model, because encrypted reasoning is written for its own model only.
        self._histories: dict[str, History] = {}
        self._tools = Kept(encode_tools)
        self._envelopes = Kept(self._envelope)

    def path(self, request: ModelRequest) -> str:
        """Return what follows the base URL."""
        return "/responses"

    def body(self, request: ModelRequest) -> tuple[bytes, str]:
        """Return the request's exact bytes and their hash."""
        model = request.model.provider_model
        history = self._histories.setdefault(model, History())
        instructions, count = leading_system(request)
        messages = request.messages[count:] if count else request.messages
        head, ending = self._envelopes.of(
            request.model, instructions, request.tools, request.options
        )
        return history.body(head, messages, ending, Items(model))

    def reply(self, request: ModelRequest, where: str) -> ResponsesReply:
        """Return what collects the reply of one request."""
        return ResponsesReply(request.model.provider_model, where)

    def _envelope(
        self, model: ModelCard, system: str, tools: tuple[ToolSpec, ...], options: ModelOptions
    ) -> tuple[bytes, bytes]:
        """Return what stands before and after the input of a conversation."""
        request = ModelRequest(
            model=model, system=system, messages=(), tools=tools, options=options
        )
        return self._head(request, system), tail(request)

    def _head(self, request: ModelRequest, instructions: str) -> bytes:
        start: dict[str, Any] = {
            "model": request.model.provider_model,
            "stream": True,
            "store": request.model.options.get("store") is True,
        }
        if is_reasoning(request) and not start["store"]:
            start["include"] = ["reasoning.encrypted_content"]
        if instructions:
            start["instructions"] = instructions
        tools = b',"tools":' + self._tools.of(request.tools) if request.tools else b""
        return to_json(start)[:-1] + tools + b',"input":['


class Items:
    """How this dialect writes messages, for one model; see `history.Encode`."""

    def __init__(self, model: str) -> None:
        self._model = model

    def message(self, message: Message, carried: Carried) -> tuple[bytes, Carried]:
        """Encode the items of one message."""
        if message.role == "tool":
            images = tuple(p for p in message.parts if isinstance(p, Image))
            return _items([_output(message)]), carried + images
        if message.role == "assistant":
            return self.rest(carried) + _items(self._assistant(message)), ()
        role = message.role if message.role in SYSTEM_ROLES else "user"
        return self.rest(carried) + _items([_said(role, message.parts)]), ()

    def rest(self, carried: Carried) -> bytes:
        """Encode the images of a finished run of tool results."""
        return _items([_said("user", (Text(IMAGE_NOTE), *carried))]) if carried else b""

    def _assistant(self, message: Message) -> list[dict[str, Any]]:
        items = self._reasoning(message.metadata)
        if message.text:
            content = [{"type": "output_text", "text": message.text}]
            items.append({"type": "message", "role": "assistant", "content": content})
        for call in message.tool_calls:
            items += self._reasoning(call.provider)
            items.append(
                {
                    "type": "function_call",
                    "call_id": call.id,
                    "name": call.name,
                    "arguments": arguments_for_wire(call.arguments),
                }
            )
        return items

    def _reasoning(self, opaque: dict[str, Any]) -> list[dict[str, Any]]:
        kept = as_object(opaque.get(OPAQUE))
        return list(kept.get("items", ())) if kept.get("model") == self._model else []


def tail(request: ModelRequest) -> bytes:
    """Encode what follows the input: the options."""
    card = request.model.options
    level = effort(request, EFFORTS)
    reasoning = {"effort": level, "summary": card.get("reasoning_summary")}
    options = {
        "max_output_tokens": max_tokens(request),
        "temperature": temperature(request),
        "top_p": None if is_reasoning(request) else card.get("top_p"),
        "reasoning": {k: v for k, v in reasoning.items() if v is not None} or None,
        "tool_choice": _choice(request),
        "parallel_tool_calls": card.get("parallel_tool_calls") if request.tools else None,
        "user": request.options.user or None,
    }
    described = json_schema(request)
    if described is not None:
        options["text"] = {"format": {"type": "json_schema", **described}}
    options = {name: value for name, value in options.items() if value is not None}
    options |= as_object(card.get("extra_body"))
    return b"]," + to_json(options)[1:] if options else b"]}"


def encode_tools(tools: tuple[ToolSpec, ...]) -> bytes:
    """Encode the list of tools."""
    return to_json(
        [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": schema_of(tool),
                "strict": False,
            }
            for tool in tools
        ]
    )


def _choice(request: ModelRequest) -> Any:
    choice = tool_choice(request)
    if choice is None:
        return None
    mode, name = choice
    return {"type": "function", "name": name} if name else mode


def _items(items: list[dict[str, Any]]) -> bytes:
    return b"".join(b"," + to_json(item) for item in items)


def _output(message: Message) -> dict[str, Any]:
    call_id = message.tool_call_id
    return {"type": "function_call_output", "call_id": call_id, "output": message.text}


def _said(role: str, parts: tuple[Part, ...]) -> dict[str, Any]:
    content = [_part(part) for part in parts] or [{"type": "input_text", "text": ""}]
    return {"type": "message", "role": role, "content": content}


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "input_text", "text": part.text}
    if isinstance(part, Image):
        return {"type": "input_image", "image_url": image_url(part)}
    assert isinstance(part, Document)
    data = f"data:{part.mime};base64,{part.data}"
    return {"type": "input_file", "filename": "document", "file_data": data}
