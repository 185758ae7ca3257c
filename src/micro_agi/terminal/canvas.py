"""Draw on a real terminal: lines that stay, and below them an area that is drawn again.

Knows lines and rows, nothing of events. Only what changed is rewritten, in one write,
so that nothing flickers. A line that stays is written once and never touched again.
"""

import re
from collections.abc import Sequence

from msgspec import Struct
from rich.cells import cell_len

from micro_agi.terminal.output import Output

SGR = re.compile(r"\x1b\[[0-9;]*m")
TRAILING = re.compile(r"(?:\x1b\[[0-9;]*m| )+$")
RESET = "\x1b[0m"
ERASE_BELOW = "\x1b[J"
HIDE_CURSOR = "\x1b[?25l"
SHOW_CURSOR = "\x1b[?25h"


class Line(Struct, frozen=True):
    """One line, already coloured, without a newline."""

    text: str
    cells: int
    """How many columns it takes."""

    @property
    def blank(self) -> bool:
        """Whether there is nothing to see in it."""
        return not self.cells or not SGR.sub("", self.text).strip()


BLANK = Line("", 0)


def line(text: str) -> Line:
    """Measure a coloured text: wide characters take two columns, colours none.

    Blanks at its end go, also coloured ones: a narrower window would wrap them.
    """
    kept = TRAILING.sub("", text)
    if SGR.search(kept):
        kept += RESET
    return Line(kept, cell_len(SGR.sub("", kept)))


class Canvas:
    """Owns the cursor of one terminal while a turn runs."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._live: list[Line] = []

    @property
    def columns(self) -> int:
        """Width to fill: one less than there is, for a line that is exactly full may wrap."""
        return max(20, self._output.size().columns - 1)

    @property
    def rows(self) -> int:
        """How many live lines there may be: more would scroll out of reach."""
        return max(3, self._output.size().lines - 2)

    def print(self, lines: Sequence[Line]) -> None:
        """Write lines that stay, above the live area."""
        self.put(lines, self._live)

    def draw(self, lines: Sequence[Line]) -> None:
        """Replace the live area; of too many lines the last are shown."""
        self.put((), lines)

    def put(self, above: Sequence[Line], live: Sequence[Line]) -> None:
        """Write lines that stay and replace the live area, in one go."""
        new = list(live[-self.rows :])
        text = "".join(f"{item.text}\n" for item in above)
        same = 0 if above else _common(self._live, new)
        if not above and same == len(self._live) == len(new):
            return
        if same == len(self._live) and same:
            text += "\n"
        else:
            # The cursor has to end behind the last live line: that one is always rewritten.
            same = max(0, min(same, len(new) - 1))
            text = self._back_to(same) + text
        text += "\n".join(item.text for item in new[same:])
        if bool(new) != bool(self._live):
            text = HIDE_CURSOR + text if new else text + SHOW_CURSOR
        self._live = new
        self._output.write(text)

    def flush(self) -> None:
        """Have everything on the screen now."""
        self._output.flush()

    def _back_to(self, first: int) -> str:
        """Move to the start of live line `first` and erase from there.

        Rows are counted with the width of now: after a resize the terminal has wrapped
        the lines anew.
        """
        if not self._live:
            return ""
        columns = self._output.size().columns
        rows = sum(max(1, -(-item.cells // columns)) for item in self._live[first:])
        up = f"\x1b[{rows - 1}A" if rows > 1 else ""
        return f"\r{up}{ERASE_BELOW}"


def _common(left: Sequence[Line], right: Sequence[Line]) -> int:
    """Count the equal lines at the start of both."""
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count
