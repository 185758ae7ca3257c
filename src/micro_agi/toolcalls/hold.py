"""Keep the text of a call from being shown while it streams."""

import re
from collections.abc import Iterable
from functools import lru_cache

from micro_agi.toolcalls.read import Reading

_TAG = "<tool"
_FENCE = ("```", "~~~")


class Held:
    """Lets a reply through piece by piece until a call may have begun."""

    def __init__(self, names: Iterable[str]) -> None:
        """Take the visible names of the tools."""
        self._start, self._beginnings = _openings(tuple(names))
        self._line = ""
        """From the start of the last line that is not wholly shown."""
        self._shown = 0
        """How much of it is."""
        self._before = 0
        """Length of the text before it."""
        self._closed = False

    def add(self, piece: str) -> str:
        """Take the next piece and return what may be shown now."""
        self._line += piece
        if self._closed:
            return ""
        call = self._start.search(self._line, self._shown)
        self._closed = call is not None
        until = call.start() if call else self._undecided()
        shown, self._shown = self._line[self._shown : until], max(self._shown, until)
        passed = self._line.rfind("\n", 0, self._shown) + 1
        self._line, self._shown = self._line[passed:], self._shown - passed
        self._before += passed
        return shown

    def rest(self, reading: Reading) -> str:
        """Return what is still to be shown of the reply, once it has been read."""
        return reading.text_from(self._before + self._shown)

    def _undecided(self) -> int:
        """Return where the end of the text begins that may become a call."""
        text = self._line
        tag = text.rfind("<")
        end = tag if tag >= 0 and _TAG.startswith(text[tag:].lower()) else len(text)
        line = text.rfind("\n") + 1
        if self._may_call(text[line:]):
            end = min(end, line)
        fence = max((text.rfind(sign) for sign in _FENCE), default=-1)
        fence = text.rfind("\n", 0, fence) + 1 if fence >= 0 else -1
        if fence >= 0:
            body = text[fence:].partition("\n")[2].lstrip()
            if not body or self._may_call(body):
                end = min(end, fence)
        return max(end, self._shown)

    def _may_call(self, text: str) -> bool:
        start = text.lstrip().lower()
        return bool(start) and any(b.startswith(start) for b in self._beginnings)


@lru_cache(64)
def _openings(names: tuple[str, ...]) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """Return what finds the start of a call, and the texts that such a start begins with."""
    openings = [_TAG, *(f"{name}(" for name in names)]
    called = "|".join(map(re.escape, openings))
    start = re.compile(
        rf"^ {{0,3}}(?:(?:```|~~~)[^\n]*\n\s*)?(?:{called})|{_TAG}",
        re.IGNORECASE | re.MULTILINE,
    )
    return start, (*(o.lower() for o in openings), *_FENCE)
