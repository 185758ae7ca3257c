"""From a request to what the model reads: its own chat template, with its own way to call tools.

How a model writes a call is learnt from its template: a made-up call is rendered once, and
what stands around its name and its arguments is the notation. A forced call is prefilled
with it. A model whose template knows no tools is taught the notation of `toolcalls`.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from micro_agi.errors import InputInvalid
from micro_agi.messages import Message, ToolSpec, message
from micro_agi.modelserver.chat_request import ChatRequest
from micro_agi.modelserver.engine import Engine, Wire
from micro_agi.toolcalls.teach import spelled_out, tools_prompt

_NAME = "made_up_tool"
_KEY = "made_up_argument"


class Notation(Struct, frozen=True, kw_only=True):
    """How a call is written: `before`, its name, `between`, its arguments as an object."""

    before: str
    between: str

    @property
    def is_tag(self) -> bool:
        """Whether `toolcalls` reads it, which also finds calls in the middle of a text."""
        return self.before.lstrip().lower().startswith("<tool")

    def opening(self, name: str = "") -> str:
        """Return the start of a call, up to its arguments, or up to its name without one.

        It ends where a model's tokens end: not with a space or a quote, which tokens of what
        follows usually begin with.
        """
        if name:
            return (self.before + name + self.between).rstrip()
        return self.before.rstrip().removesuffix('"').rstrip()

    def pattern(self) -> re.Pattern[str]:
        """Return what matches a call up to its arguments, whatever the spaces."""
        before, between = (
            r"\s*".join(map(re.escape, part.split())) for part in (self.before, self.between)
        )
        return re.compile(rf"\s*{before}\s*(?P<name>[\w.-]+)\s*{between}\s*(?=\{{)")


TAUGHT = Notation(before='<tool name="', between='">')
"""What `toolcalls.teach` teaches."""
HERMES = Notation(before='<tool_call>\n{"name": "', between='", "arguments": ')
"""For templates that show tools but not how an earlier call looked."""


class Prompt(Struct, frozen=True, kw_only=True):
    """What the model reads."""

    messages: Sequence[Wire]
    tools: Sequence[Wire]
    opening: str = ""
    """The start of the reply, written for the model."""


class Prompts:
    """Writes prompts for one model."""

    def __init__(self, engine: Engine) -> None:
        """Learn how the model's template shows tools and calls."""
        self._shows_tools, self.notation = _learn(engine)

    def of(self, request: ChatRequest) -> Prompt:
        """Return the prompt of a request."""
        opening = self.notation.opening(request.name) if request.choice == "required" else ""
        tools = request.tools
        if self._shows_tools:
            return Prompt(
                messages=[as_wire(m) for m in request.messages],
                tools=[tool_wire(tool) for tool in tools],
                opening=opening,
            )
        taught = tools_prompt(tools, request.name or request.choice)
        messages = _with_system(spelled_out(request.messages), taught)
        return Prompt(messages=[as_wire(m) for m in messages], tools=(), opening=opening)


def as_wire(said: Message) -> dict[str, Any]:
    """Return a message as templates read it: the arguments of calls are objects."""
    wire: dict[str, Any] = {"role": said.role, "content": said.text}
    if said.tool_calls:
        wire["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": _arguments(call.arguments)},
            }
            for call in said.tool_calls
        ]
    optional = {
        "tool_call_id": said.tool_call_id,
        "name": said.name,
        "reasoning_content": said.metadata.get("thinking", ""),
    }
    return wire | {name: value for name, value in optional.items() if value}


def tool_wire(tool: ToolSpec) -> dict[str, Any]:
    """Return a tool as templates read it."""
    function = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    return {"type": "function", "function": function}


def _arguments(text: str) -> Any:
    try:
        return msgspec.json.decode(text or "{}")
    except msgspec.DecodeError:
        return text  # malformed in the past: shown to the model as it stands


def _with_system(messages: Iterable[Message], taught: str) -> list[Message]:
    said = list(messages)
    if not taught:
        return said
    first = said[0].text if said and said[0].role == "system" else ""
    system = message("system", "\n\n".join(part for part in (first, taught) if part))
    return [system, *said[1:]] if first else [system, *said]


def _learn(engine: Engine) -> tuple[bool, Notation]:
    """Return whether the template shows tools, and how the model writes a call."""
    schema = {"type": "object", "properties": {_KEY: {"type": "string"}}}
    tools = [tool_wire(ToolSpec(id=_NAME, name=_NAME, description="", schema=schema))]
    user = {"role": "user", "content": "?"}
    function = {"name": _NAME, "arguments": {_KEY: "?"}}
    call = {"id": "call00000", "type": "function", "function": function}
    try:
        asked = engine.render([user], tools)
        if _NAME not in asked:
            return False, TAUGHT
        answer = {"role": "assistant", "content": "", "tool_calls": [call]}
        whole = engine.render([user, answer], tools, reply=False)
    except InputInvalid:
        return False, TAUGHT
    start = next((n for n, (a, b) in enumerate(zip(asked, whole, strict=False)) if a != b), 0)
    start = start or min(len(asked), len(whole))
    said = whole[start:]
    name = said.find(_NAME)
    key = said.find(_KEY, name + len(_NAME))
    arguments = said.rfind("{", name, key)
    if name < 0 or key < 0 or arguments < 0:
        return True, HERMES
    return True, Notation(before=said[:name], between=said[name + len(_NAME) : arguments])
