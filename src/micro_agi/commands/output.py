"""Listings that a person can read at 60 columns, and a program without counting columns.

Pure: values in, text out.
"""

import textwrap
import time
from collections.abc import Sequence

MIN_LAST = 24
"""Columns that the last column needs beside the others; with less it goes below them."""
MIN_MIDDLE = 8
"""Columns that one between the first and the last keeps in any case."""
GAP = "  "


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None) -> str:
    """Align columns within `width`; the last one takes what is left, and is cut.

    Where too little is left, the last column goes on a line of its own, indented. The first
    one, which names the row, is never cut; the others only where they alone are too wide.
    Without a width nothing is cut.
    """
    lines = [[_one_line(cell) for cell in row] for row in (heads, *rows)]
    sizes = [max(len(line[n]) for line in lines) for n in range(len(heads) - 1)]
    if width is not None:
        _shrink(sizes, width)
        lines = [
            [line[0], *map(shorten, line[1:-1], sizes[1:]), line[-1]] if sizes else line
            for line in lines
        ]
    left = None if width is None else width - sum(sizes) - len(GAP) * len(sizes)
    below = left is not None and left < min(MIN_LAST, max(len(line[-1]) for line in lines))
    if below and width is not None:
        left = width - len(GAP)
    texts: list[str] = []
    for line in lines:
        fixed = GAP.join(f"{cell:<{size}}" for cell, size in zip(line, sizes, strict=False))
        last = line[-1] if left is None else shorten(line[-1], left)
        if not below:
            texts.append(f"{fixed}{GAP}{last}".rstrip())
        else:
            texts += [text.rstrip() for text in (fixed, GAP + last) if text.strip()]
    return "\n".join(texts)


def _shrink(sizes: list[int], width: int) -> None:
    """Take from the widest column behind the first until all of them fit, or are narrow."""
    over = sum(sizes) + len(GAP) * (len(sizes) - 1) - width
    while over > 0 and len(sizes) > 1:
        widest = max(range(1, len(sizes)), key=lambda n: sizes[n])
        if sizes[widest] <= MIN_MIDDLE:
            return
        sizes[widest] -= 1
        over -= 1


def facts(pairs: Sequence[tuple[str, str]], *, width: int | None, indent: str = "") -> str:
    """Align `name: value` lines, wrapped to `width`; empty values are left out."""
    shown = [(name, value) for name, value in pairs if value]
    size = max((len(name) for name, _ in shown), default=0) + 1
    return "\n".join(
        wrapped(f"{indent}{name + ':':<{size}} ", value, width=width) for name, value in shown
    )


def wrapped(before: str, text: str, *, width: int | None) -> str:
    """Write `text` behind `before`, wrapped to `width` with its later lines below its first.

    >>> print(wrapped("fix: ", "one two three four five six", width=29))
    fix: one two three four five
         six
    """
    room = None if width is None else max(width - len(before), MIN_LAST)
    flat = _one_line(text)
    if room is None or len(flat) <= room:
        return before + flat
    # A long word (a hash, a path) stays whole: it may be copied.
    lines = textwrap.wrap(flat, room, break_long_words=False, break_on_hyphens=False)
    return before + ("\n" + " " * len(before)).join(lines)


def shorten(text: str, width: int) -> str:
    """Cut a text to `width` characters, the last of which then is an ellipsis.

    >>> shorten("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def count(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun.

    >>> count(1, "entry", "entries"), count(2, "tool")
    ('1 entry', '2 tools')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def moment(at: float) -> str:
    """Return a time in the zone of this machine, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def _one_line(text: str) -> str:
    return " ".join(text.split())
