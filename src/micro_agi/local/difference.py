"""Show what changed between two texts, at a cost that large files do not blow up."""

import difflib
from collections.abc import Sequence

CONTEXT = 3
COMPARED = 2000
"""Lines compared one by one; a larger difference is told in one sentence."""
SHOWN_CHARS = 6000


def unified(before: str, after: str, name: str) -> str:
    """Return a unified diff; "" for equal texts, a sentence for a difference too large to show.

    What both texts begin and end with is set aside first, so the cost follows the change.
    """
    old, new = before.splitlines(), after.splitlines()
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    if max(len(old), len(new)) - start - end > COMPARED:
        was, became = len(old) - start - end, len(new) - start - end
        return f"lines {start + 1} to {start + was} became {became} other lines"
    around = max(0, start - CONTEXT)
    after_old, after_new = len(old) - max(0, end - CONTEXT), len(new) - max(0, end - CONTEXT)
    lines = list(
        difflib.unified_diff(
            old[around:after_old], new[around:after_new], name, name, lineterm="", n=CONTEXT
        )
    )
    shown = "\n".join(_moved(line, around) for line in lines)
    if len(shown) > SHOWN_CHARS:
        cut = shown[:SHOWN_CHARS].rpartition("\n")[0]
        return f"{cut}\n… [{len(lines)} lines of difference in all]"
    return shown


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def _moved(line: str, by: int) -> str:
    """Return a hunk's head with the line numbers of the whole text."""
    if not by or not line.startswith("@@ -"):
        return line
    ranges = line.strip("@ ").split(" ")
    return f"@@ {' '.join(_shift(r, by) for r in ranges)} @@"


def _shift(text: str, by: int) -> str:
    first, comma, count = text[1:].partition(",")
    return f"{text[0]}{int(first) + by}{comma}{count}"
