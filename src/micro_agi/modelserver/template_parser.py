"""Read a reply by the response template that a tokenizer brings along.

Transformers' own parser does the reading. What it leaves to us: a call that cannot be read
takes nothing else with it, and one that was cut off is not run with the half of its arguments
that happened to be there.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from micro_agi.messages import ToolCall
from micro_agi.modelserver.engine import Piece, Wire
from micro_agi.toolcalls.read import NAMELESS
from micro_agi.values import as_object

_SHOWN: Mapping[str, Literal["content", "thinking"]] = {
    "content": "content",
    "thinking": "thinking",
    "reasoning": "thinking",
    "reasoning_content": "thinking",
}
CALLS = "tool_calls"
_NOWHERE = "\0"
"""In no mark: after it, a mark that might have gone on is known to have ended."""
_UNREADABLE = (ValueError, KeyError, TypeError, RecursionError)
"""What the parser raises for what a model wrote."""


class TemplateParser:
    """See `engine.Parser`."""

    def __init__(self, parser: Any, template: Wire) -> None:
        """`parser` is a `ResponseParser` of `template` that has seen the prompt."""
        self._parser = parser
        calls = template["fields"].get(CALLS, {})
        self._closes = "close" in calls or "close_pattern" in calls
        self._at_start = True
        """Of a region, whose line breaks are the template's and not the model's."""
        self._calls: list[ToolCall] = []
        self._undecided = ""
        """What was written since the last that was shown or read."""
        self._broken = False

    def has_call(self) -> bool:
        """See `Parser`."""
        return bool(self._calls)

    def feed(self, text: str) -> list[Piece]:
        """See `Parser`."""
        pieces: list[Piece] = []
        # One at a time: what comes with the character that the parser fails at is lost.
        for character in text:
            self._undecided += character
            if self._broken:
                continue
            try:
                pieces += self._read(self._parser.feed(character))
            except _UNREADABLE:
                self._broken = True
        return _merged(pieces)

    def finish(self, end: str = "") -> tuple[list[Piece], list[ToolCall]]:
        """See `Parser`. A call that cannot be read, or never ended, has its text as arguments."""
        pieces: list[Piece] = []
        if self._closes:
            # What is still open after this was never closed by the model.
            pieces = [
                (kind, text.removesuffix(_NOWHERE).removesuffix(end))
                for kind, text in self.feed(end + _NOWHERE)
            ]
        written = self._undecided.removesuffix(_NOWHERE)
        known = len(self._calls)
        try:
            _, events = ({}, []) if self._broken else self._parser.finalize()
            pieces += self._read(events)
        except _UNREADABLE:
            self._broken = True
        if self._broken or (self._closes and len(self._calls) > known):
            unread = ToolCall(id=_new_id(), name=NAMELESS, arguments=written)
            self._calls = [*self._calls[:known], unread]
        return [piece for piece in pieces if piece[1]], self._calls

    def _read(self, events: Sequence[Wire]) -> list[Piece]:
        pieces: list[Piece] = []
        for event in events:
            kind = _SHOWN.get(event["field"])
            if event["type"] == "region_open":
                self._at_start = True
            elif event["type"] == "region_chunk" and kind is not None:
                text = event["text"].lstrip("\n") if self._at_start else event["text"]
                self._at_start = not text
                pieces.append((kind, text))
                self._undecided = ""
            elif event["type"] == "region_close":
                if event["field"] == CALLS:
                    value = event["value"]
                    self._calls += map(_call, value if isinstance(value, list) else [value])
                self._undecided = ""
        return pieces


def _merged(pieces: Sequence[Piece]) -> list[Piece]:
    whole: list[Piece] = []
    for kind, text in pieces:
        if whole and whole[-1][0] == kind:
            whole[-1] = (kind, whole[-1][1] + text)
        elif text:
            whole.append((kind, text))
    return whole


def _call(item: Any) -> ToolCall:
    function = as_object(as_object(item).get("function", item))
    name, arguments = function.get("name"), function.get("arguments")
    if not isinstance(name, str) or not name:
        raise ValueError("a call has the name of a tool")
    if not isinstance(arguments, str):
        arguments = json.dumps({} if arguments is None else arguments, ensure_ascii=False)
    return ToolCall(id=_new_id(), name=name, arguments=arguments)


def _new_id() -> str:
    return f"call_{uuid.uuid4().hex[:16]}"
