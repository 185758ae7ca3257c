"""A call found in a text, and the fences of the text: what both notations share."""

import re
from collections.abc import Iterator

from msgspec import Struct

FENCE = re.compile(r"^ {0,3}(?P<fence>`{3,}|~{3,})[^`\n]*$", re.MULTILINE)


class Found(Struct, frozen=True):
    """One call and the place it takes."""

    start: int
    end: int
    name: str
    arguments: str
    """JSON, or what the model wrote when there is a problem."""
    problem: str = ""
    """Why the call cannot be run, or ""."""


def fence_end(text: str, opening: re.Match[str], start: int) -> tuple[int, int]:
    """Return where a fence's body and the fence itself end, looking from `start` on.

    A fence that is never closed ends with the text.
    """
    sign = opening["fence"]
    closing = re.compile(rf"^ {{0,3}}{sign[0]}{{{len(sign)},}}[ \t]*$", re.MULTILINE)
    found = closing.search(text, start)
    return (found.start(), found.end()) if found else (len(text), len(text))


def fences(text: str) -> Iterator[tuple[int, int, int, int]]:
    """Yield each fence as the start of it, of its body, the end of its body, of it."""
    at = 0
    while (opening := FENCE.search(text, at)) is not None:
        body_end, at = fence_end(text, opening, opening.end())
        yield opening.start(), min(opening.end() + 1, body_end), body_end, at
