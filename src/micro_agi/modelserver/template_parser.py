"""Read a reply by the response template that a tokenizer brings along."""

import json
import uuid
from collections.abc import Sequence
from typing import Any, Literal

from micro_agi.messages import ToolCall
from micro_agi.modelserver.engine import Piece, Wire
from micro_agi.toolcalls.read import NAMELESS
from micro_agi.values import as_object

_FIELDS: dict[str, Literal["content", "thinking"]] = {
    "content": "content",
    "thinking": "thinking",
    "reasoning": "thinking",
    "reasoning_content": "thinking",
}


class TemplateParser:
    """See `engine.Parser`."""

    def __init__(self, parser: Any) -> None:
        """`parser` is a `transformers` `ResponseParser` that has seen the prompt."""
        self._parser = parser
        self._unread = ""
        """What a region held that the template could not read."""

    def feed(self, text: str) -> list[Piece]:
        """Take the next text and return what may be shown."""
        if self._unread:
            self._unread += text
            return []
        try:
            return _shown(self._parser.feed(text))
        except ValueError:
            self._unread = text
            return []

    def finish(self) -> tuple[list[Piece], list[ToolCall]]:
        """Return the rest and the calls; one that cannot be read has its text as arguments."""
        try:
            said, events = self._parser.finalize()
        except ValueError as error:
            self._unread = self._unread or str(error)
            said, events = {}, []
        calls = [_call(item) for item in as_object(said).get("tool_calls") or ()]
        if self._unread:
            calls.append(ToolCall(id=_new_id(), name=NAMELESS, arguments=self._unread))
        return _shown(events), calls


def _shown(events: Sequence[Wire]) -> list[Piece]:
    return [
        (_FIELDS[event["field"]], event["text"])
        for event in events
        if event["type"] == "region_chunk" and event["field"] in _FIELDS
    ]


def _call(item: Any) -> ToolCall:
    function = as_object(as_object(item).get("function", item))
    arguments = function.get("arguments", {})
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return ToolCall(id=_new_id(), name=str(function.get("name") or NAMELESS), arguments=text)


def _new_id() -> str:
    return f"call_{uuid.uuid4().hex[:16]}"
