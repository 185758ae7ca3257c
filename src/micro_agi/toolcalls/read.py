"""Read the tool calls that a model wrote into its text.

A call is a tag, `<tool name="x">{…}</tool>` or `<tool_call>{"name": …, "arguments": …}
</tool_call>`, or, where no tag is, a line that is one call in Python's notation. What stands
in inline code is text, and so is a fence with anything else in it: a model may explain how
it would call. A call that was recognised and cannot be used is returned with its `problem`,
so that the model is told; it is never dropped and never run.
"""

import re
import uuid
from bisect import bisect_left
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from micro_agi.errors import ArgumentsInvalid
from micro_agi.messages import ToolCall, ToolSpec
from micro_agi.toolcalls.arguments import LOOSE, STRICT, json_text, object_end, read_object
from micro_agi.toolcalls.found import FENCE, Found, fence_end
from micro_agi.toolcalls.python_style import python_calls

MOST_CALLS = 128
"""Of one reply; a turn has no more either."""
NAMELESS = "tool_call"
"""The name of a call whose own cannot be read."""

_ATTRIBUTE = r"""\s+[\w:.-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[\w.:-]+)"""
_OPENING = re.compile(
    rf"<tool(?:(?P<hermes>_call)|(?P<attributes>(?:{_ATTRIBUTE})+))\s*(?P<empty>/?)>",
    re.IGNORECASE,
)
_NAME = re.compile(r"""\sname\s*=\s*(?:"([^"]*)"|'([^']*)'|([\w.:-]+))""", re.IGNORECASE)
_CLOSING = {
    hermes: re.compile(rf"\s*(?:```|~~~)?\s*</tool{'_call' * hermes}\s*>", re.IGNORECASE)
    for hermes in (False, True)
}
_BODY = re.compile(r"\s*(?:(?:```|~~~)\w*\s*)?")
# A fence is told from other backticks by its place at the start of a line.
_STOP = re.compile(rf"{FENCE.pattern}|(?P<ticks>`+)|<tool", re.IGNORECASE | re.MULTILINE)
_TICKS = re.compile(r"`+")
_SPACE = re.compile(r"\s*")


class Reading(Struct, frozen=True):
    """What one reply holds."""

    raw: str
    places: tuple[tuple[int, int], ...] = ()
    """Where in `raw` the calls are, in order; several may share a fence."""
    calls: tuple[ToolCall, ...] = ()
    """In the order written; one that has a `problem` must not be run."""

    @property
    def text(self) -> str:
        """The reply without its calls."""
        return self.text_from(0)

    def text_from(self, start: int) -> str:
        """Return what of the reply without its calls comes after `raw[:start]`."""
        if not self.places:
            return self.raw[start:]
        pieces, at = [], start
        for begin, end in self.places:
            pieces.append(self.raw[at:begin])
            at = max(at, end)
        kept = [piece.strip() for piece in (*pieces, self.raw[at:])]
        return "\n\n".join(piece for piece in kept if piece)


def read_calls(text: str, tools: Mapping[str, ToolSpec]) -> Reading:
    """Find the calls in a model's reply; `tools` are those it may call, by visible name.

    A tag that names none of them is a call too: its answer lists names like it.
    """
    found = _Tags(text).read() or python_calls(text, tools)
    return Reading(
        text,
        tuple((f.start, f.end) for f in found),
        tuple(
            ToolCall(
                id=f"call_{uuid.uuid4().hex[:16]}",
                name=f.name,
                arguments=f.arguments,
                problem=f.problem,
            )
            for f in found
        ),
    )


class _Tags:
    """Finds the tags of one text, in one pass."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._runs: dict[int, list[int]] | None = None
        self._tried = 0

    def read(self) -> list[Found]:
        """Return the calls in order."""
        found: list[Found] = []
        at = 0
        while (stop := _STOP.search(self._text, at)) is not None:
            if stop["fence"]:
                calls, at = self._fence(stop)
            elif stop["ticks"]:
                calls, at = [], self._code_end(stop)
            else:
                call = self._call(stop.start())
                calls, at = ([call], call.end) if call else ([], stop.end())
            found += calls
        return found

    def _fence(self, opening: re.Match[str]) -> tuple[list[Found], int]:
        """Return the calls of a fence that holds nothing else, and where to go on."""
        calls: list[Found] = []
        at = opening.end()
        while (call := self._call(self._past_space(at))) is not None:
            calls.append(call)
            at = call.end
        body_end, end = fence_end(self._text, opening, at)
        if not calls or self._text[at:body_end].strip():
            return [], fence_end(self._text, opening, opening.end())[1]
        whole = [replace(call, start=opening.start(), end=end) for call in calls]
        return whole, end

    def _call(self, start: int) -> Found | None:
        """Read the tag at `start`, or return None when it is none."""
        opening = _OPENING.match(self._text, start)
        if opening is None:
            return None
        hermes = opening["hermes"] is not None
        name = NAMELESS if hermes else _attribute(opening["attributes"])
        if not name:
            return None
        self._tried += 1
        if self._tried > MOST_CALLS:
            problem = f"more than {MOST_CALLS} calls in one reply; make the rest in the next one"
            return Found(start, len(self._text), name, "", problem)
        if opening["empty"]:
            return Found(start, opening.end(), name, "{}")
        closing = _CLOSING[hermes]
        body = self._past(_BODY, opening.end())
        end, written = self._object(body)
        if tag := closing.match(self._text, end):
            call = Found(start, tag.end(), name, written)
            return _hermes(call) if hermes else _plain(call)
        tag = closing.search(self._text, end)
        unread = self._text[opening.end() : tag.start() if tag else len(self._text)].strip()
        if tag is None:
            problem = f"the tag is never closed: end it with </tool{'_call' * hermes}>"
        elif not written:
            problem = _plain(Found(0, 0, "", unread)).problem
        else:
            problem = "there is something else between the arguments and the closing tag"
        return Found(start, tag.end() if tag else len(self._text), name, unread, problem)

    def _object(self, start: int) -> tuple[int, str]:
        """Return where the object at `start` ends, and its text, "" when there is none.

        A text that cannot be read ends where it starts: it may hold what is no part of it.
        """
        text = self._text
        if not text.startswith("{", start):
            return start, ""
        try:
            _, end = LOOSE.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = object_end(text, start)
            try:
                read_object(text[start:end] if end >= 0 else "")
            except ArgumentsInvalid:
                return start, ""
        return end, text[start:end]

    def _code_end(self, ticks: re.Match[str]) -> int:
        """Return where inline code ends, or where the backticks do that open none."""
        if self._runs is None:
            self._runs = {}
            for run in _TICKS.finditer(self._text):
                self._runs.setdefault(len(run[0]), []).append(run.start())
        length = len(ticks["ticks"])
        same = self._runs[length]
        following = bisect_left(same, ticks.end())
        if following == len(same) or self._text.find("\n\n", ticks.end(), same[following]) >= 0:
            return ticks.end()
        return same[following] + length

    def _past(self, pattern: re.Pattern[str], start: int) -> int:
        match = pattern.match(self._text, start)
        return match.end() if match else start

    def _past_space(self, start: int) -> int:
        return self._past(_SPACE, start)


def _attribute(attributes: str) -> str:
    """Return the value of `name`, or "" when there is none."""
    name = _NAME.search(attributes)
    return next(filter(None, name.groups()), "") if name else ""


def _plain(call: Found) -> Found:
    """Check the body of a `<tool>`; JSON that is right stays as the model wrote it."""
    try:
        return replace(call, arguments=_as_json(call.arguments or "{}"))
    except ArgumentsInvalid as error:
        return replace(call, problem=error.what)


def _hermes(call: Found) -> Found:
    """Take name and arguments out of the body of a `<tool_call>`."""
    try:
        body = read_object(call.arguments or "{}")
        name, given = body.get("name"), body.get("arguments", {})
        if not isinstance(name, str) or not name:
            return replace(call, problem="the call has no `name`")
        call = replace(call, name=name)
        if not isinstance(given, dict):
            given = read_object(given if isinstance(given, str) else "")
        return replace(call, arguments=json_text(given))
    except ArgumentsInvalid as error:
        return replace(call, problem=error.what)


def _as_json(written: str) -> str:
    try:
        if isinstance(STRICT.decode(written), dict):
            return written
    except (ValueError, RecursionError):
        pass
    return json_text(read_object(written))
