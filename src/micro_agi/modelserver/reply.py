"""From the tokens of a reply to pieces of text, thinking and tool calls.

Runs where the tokens come from, so that a reply ends with the very token that completes a
stop text or a forced call. What may become a call, a stop text or half a character is held
back until it is decided.
"""

import uuid
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from micro_agi.messages import ToolCall, ToolSpec
from micro_agi.modelserver.engine import Parser, Piece
from micro_agi.modelserver.prompt import Notation
from micro_agi.toolcalls.arguments import object_end
from micro_agi.toolcalls.hold import Held
from micro_agi.toolcalls.read import read_calls

Finish: TypeAlias = Literal["stop", "length", "tool_calls"]
_UNFINISHED = "\ufffd"
_LONGEST_CHARACTER = 8
"""Tokens after which bytes that are no text yet are shown as such."""
_THINK, _THOUGHT = "<think>", "</think>"


class End(Struct, frozen=True, kw_only=True):
    """How a reply ended, with what had been held back."""

    pieces: list[Piece]
    calls: list[ToolCall]
    finish: Finish


class Reply:
    """Reads one reply, token by token."""

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        parser: Parser,
        *,
        stop: Sequence[str] = (),
        complete: Callable[[], bool] | None = None,
    ) -> None:
        """With `complete`, the reply ends as soon as that says so."""
        self._decode = decode
        self._text = Characters(decode)
        self._parser = parser
        self._stop = Stop(stop)
        self._complete = complete
        self.ended = False
        """Whether the reply is complete before the model says so."""

    def take(self, token: int) -> list[Piece]:
        """Take the next token and return what may be shown of the reply now."""
        text = self._stop.add(self._text.add(token))
        pieces = self._parser.feed(text) if text else []
        self.ended = self._stop.found or (self._complete is not None and self._complete())
        return pieces

    def end(self, *, cut: bool, last: int | None = None) -> End:
        """Return the rest; `cut` when the model would have gone on, `last` is its own end."""
        rest = "" if self._stop.found else self._stop.rest(self._text.rest())
        pieces = self._parser.feed(rest) if rest else []
        pieces_left, calls = self._parser.finish("" if last is None else self._decode([last]))
        finish: Finish = "length" if cut else "tool_calls" if calls else "stop"
        return End(pieces=pieces + pieces_left, calls=calls, finish=finish)


class Characters:
    """Turns tokens into text, of which a character may take several."""

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        """From the last ones that are shown: some tokenizers' text depends on those before."""
        self._shown = ""

    def add(self, token: int) -> str:
        """Take a token and return the text that it completes."""
        self._tokens.append(token)
        text = self._decode(self._tokens)
        if text.endswith(_UNFINISHED) and len(self._tokens) < _LONGEST_CHARACTER:
            return ""
        new = text[len(self._shown) :]
        self._tokens = self._tokens[-1:]
        self._shown = self._decode(self._tokens)
        if self._shown.endswith(_UNFINISHED):
            # The token is the end of a character: alone it has no text to count from.
            self._tokens, self._shown = [], ""
        return new

    def rest(self) -> str:
        """Return what is left at the end."""
        return self._decode(self._tokens)[len(self._shown) :] if self._tokens else ""


class Stop:
    """Ends a text before the first of some texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._held = ""
        self.found = False

    def add(self, text: str) -> str:
        """Return what cannot be the start of a stop text."""
        if not self._texts or self.found:
            return "" if self.found else text
        self._held += text
        places = [at for stop in self._texts if (at := self._held.find(stop)) >= 0]
        if places:
            self.found = True
            return self._held[: min(places)]
        longest = max(
            length
            for stop in self._texts
            for length in range(len(stop))
            if self._held.endswith(stop[:length])
        )
        until = len(self._held) - longest
        shown, self._held = self._held[:until], self._held[until:]
        return shown

    def rest(self, text: str) -> str:
        """Return what was held back in vain."""
        shown = self.add(text)
        return shown if self.found else shown + self._held


class RawParser:
    """Shows a text as it comes: for completions, which have no calls and no thinking."""

    def feed(self, text: str) -> list[Piece]:
        """Return the text."""
        return [("content", text)]

    def has_call(self) -> bool:
        """Say no: a text is a text."""
        return False

    def finish(self, end: str = "") -> tuple[list[Piece], list[ToolCall]]:
        """Return nothing: nothing was held back."""
        return [], []


class PlainParser:
    """Reads thinking between `<think>` tags, and calls in the notations of `toolcalls`."""

    def __init__(
        self, tools: Sequence[ToolSpec], notation: Notation, *, opening: str = "", thinks: bool
    ) -> None:
        """`opening` is the start that was written for the model, `thinks` that it is thinking."""
        self._tools = {tool.name: tool for tool in tools}
        self._notation = notation
        self._held = Held(self._tools) if tools else None
        self._state: Literal["start", "thinking", "text"] = "thinking" if thinks else "start"
        self._waiting = ""
        self._trim = False
        self._text = ""
        self._undecided = ""
        self._forced = bool(opening)
        if opening:
            self._state = "text"
            self._show(opening)

    def has_call(self) -> bool:
        """Whether what was written so far holds a call that can be run."""
        if not self._text.endswith((">", "}", ")")):
            return False
        if self._notation.is_tag:
            return any(not c.problem for c in read_calls(self._text, self._tools).calls)
        return bool(self._foreign())

    def feed(self, text: str) -> list[Piece]:
        """Take the next text and return what may be shown."""
        if self._state == "text":
            return self._show(self._trimmed(text))
        self._waiting += text
        if self._state == "start":
            start = self._waiting.lstrip()
            if not start or (_THINK.startswith(start) and start != _THINK):
                return []
            if not start.startswith(_THINK):
                return self._to_text(self._waiting)
            self._state, self._waiting = "thinking", start.removeprefix(_THINK)
            self._trim = True
        self._waiting = self._trimmed(self._waiting)
        thought, tag, rest = self._waiting.partition(_THOUGHT)
        if tag:
            shown: list[Piece] = [("thinking", thought.rstrip())] if thought.strip() else []
            self._trim = True
            return shown + self._to_text(rest)
        # The end of what is there may be the start of the tag, with its line break.
        keep = thought.rfind("<") if _THOUGHT.startswith(thought[thought.rfind("<") :]) else -1
        until = len(thought[:keep].rstrip()) if keep >= 0 else len(thought.rstrip())
        self._waiting = thought[until:]
        return [("thinking", thought[:until])] if thought[:until] else []

    def finish(self, end: str = "") -> tuple[list[Piece], list[ToolCall]]:
        """Return the rest and the calls.

        A call that cannot be read is one all the same: its arguments are then the text as the
        model wrote it, which no client can parse, so that the model is told and nothing runs.
        """
        pieces: list[Piece] = []
        if self._state == "start" and self._waiting:
            pieces += self._to_text(self._waiting)
        elif self._state == "thinking" and self._waiting.strip():
            pieces.append(("thinking", self._waiting))
        if self._held is None:
            return pieces, []
        if not self._notation.is_tag and (calls := self._foreign()):
            return pieces, calls
        reading = read_calls(self._text, self._tools)
        if self._forced and all(c.problem for c in reading.calls) and (calls := self._foreign()):
            # The call whose opening we wrote is whole, and only its end is missing.
            return pieces, calls
        if rest := self._held.rest(reading):
            pieces.append(("content", rest))
        written = [self._text[start:end] for start, end in reading.places]
        return pieces, [
            msgspec.structs.replace(call, arguments=text) if call.problem else call
            for call, text in zip(reading.calls, written, strict=True)
        ]

    def _to_text(self, text: str) -> list[Piece]:
        self._state, self._waiting = "text", ""
        return self._show(self._trimmed(text))

    def _trimmed(self, text: str) -> str:
        """Leave out the line breaks between a tag and what follows it."""
        if self._trim:
            text = text.lstrip("\n")
            self._trim = not text
        return text

    def _show(self, text: str) -> list[Piece]:
        if not text:
            return []
        self._text += text
        if self._held is None:
            return [("content", text)]
        self._undecided += text
        if not self._notation.is_tag and self._may_be_foreign():
            return []
        shown = self._held.add(self._undecided)
        self._undecided = ""
        return [("content", shown)] if shown else []

    def _may_be_foreign(self) -> bool:
        start = "".join(self._text.split())
        before = "".join(self._notation.before.split())
        return start.startswith(before) or before.startswith(start)

    def _foreign(self) -> list[ToolCall]:
        """Read the calls that a reply begins with, in the model's own notation."""
        pattern, calls, at = self._notation.pattern(), [], 0
        while (found := pattern.match(self._text, at)) is not None:
            end = object_end(self._text, found.end())
            if end < 0 or found["name"] not in self._tools:
                break
            arguments = self._text[found.end() : end]
            id_ = f"call_{uuid.uuid4().hex[:16]}"
            calls.append(ToolCall(id=id_, name=found["name"], arguments=arguments))
            at = end
        return calls
