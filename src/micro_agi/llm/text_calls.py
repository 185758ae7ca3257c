"""Tools for models that call them in their text, in both directions.

A model whose capabilities are known and lack `tool_use` is taught the notation in its prompt
and sees all calls and results as text. One that has it may fall back to text all the same
(small local models do), where the agent allows it.
Source: spec/local-agent.md 7.1; DESIGN 9.
"""

from msgspec.structs import replace

from micro_agi.llm.request import ModelEvent, ModelRequest, OnEvent, Reply
from micro_agi.messages import TextDelta, ToolSpec
from micro_agi.toolcalls.hold import Held
from micro_agi.toolcalls.read import Reading, read_calls
from micro_agi.toolcalls.teach import spelled_out, tools_prompt

TOOL_USE = "tool_use"


def in_words(request: ModelRequest) -> ModelRequest:
    """Return the request as its model can understand it; most stay as they are."""
    if not request.tools:
        return request
    known = request.model.capabilities
    if known and TOOL_USE not in known:
        taught = tools_prompt(request.tools, request.options.tool_choice)
        return replace(
            request,
            system="\n\n".join(part for part in (request.system, taught) if part),
            messages=spelled_out(request.messages),
            tools=(),
            text_tools=request.tools if taught else (),
            options=replace(request.options, tool_choice="auto"),
        )
    return request


def called_in_text(request: ModelRequest) -> tuple[ToolSpec, ...]:
    """Return the tools whose calls count when the reply's text has them."""
    if request.options.text_tool_calls and request.options.tool_choice != "none":
        return request.text_tools or request.tools
    return request.text_tools


class TextCalls:
    """Reads the calls out of one reply and keeps their text from the person's eyes."""

    def __init__(self, tools: tuple[ToolSpec, ...], on_event: OnEvent) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._held = Held(self._tools) if tools else None
        self._on_event = on_event

    @property
    def show(self) -> OnEvent:
        """Where the reply's events go."""
        return self._on_event if self._held is None else self._show

    def read(self, reply: Reply) -> Reply:
        """Return the reply with the calls of its text, and show what was held back in vain."""
        if self._held is None:
            return reply
        native = reply.tool_calls
        reading = Reading(reply.text) if native else read_calls(reply.text, self._tools)
        if rest := self._held.rest(reading):
            self._on_event(TextDelta(text=rest))
        if reading.text == reply.text:
            return reply
        return replace(
            reply,
            text=reading.text,
            tool_calls=native or reading.calls,
            finish_reason=(
                "tool_call"
                if reading.calls and reply.finish_reason == "stop"
                else reply.finish_reason
            ),
        )

    def _show(self, event: ModelEvent) -> None:
        if type(event) is not TextDelta:
            self._on_event(event)
        elif (text := self._held.add(event.text)) if self._held else "":
            self._on_event(TextDelta(text=text))
