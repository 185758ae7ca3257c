"""A terminal small enough to read: what the live screen writes, as a person would see it.

Knows exactly the sequences that `canvas.py` uses and refuses any other, so that a new
one is not forgotten here.
"""

import io
import os
import re

from rich.cells import cell_len

from micro_agi.terminal.output import Output

SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")


class Emulator(Output):
    """An output with a screen of its own; every write is applied at once."""

    def __init__(self, columns=60, rows=24):
        super().__init__(io.StringIO())
        self.columns, self.rows = columns, rows
        self.lines = [""]
        self.at = 0
        self.column = 0
        self.cursor_shown = True
        self.written = []

    @property
    def terminal(self):
        return True

    def size(self):
        return os.terminal_size((self.columns, self.rows))

    def write(self, text):
        self.written.append(text)
        at = 0
        while at < len(text):
            found = SEQUENCE.match(text, at)
            if found:
                self._do(found.group(1), found.group(2))
                at = found.end()
            else:
                self._put(text[at])
                at += 1

    @property
    def shown(self):
        return "\n".join(line.rstrip() for line in self.lines).rstrip("\n")

    def _do(self, argument, letter):
        match letter, argument:
            case "m", _:
                pass
            case "J", "":
                self.lines[self.at] = self.lines[self.at][: self.column]
                del self.lines[self.at + 1 :]
            case "A", _:
                assert int(argument) <= self.rows, "moved up into what has scrolled away"
                self.at -= int(argument)
                assert self.at >= 0
            case "h" | "l", "?25":
                self.cursor_shown = letter == "h"
            case _:
                raise AssertionError(f"unknown sequence {argument}{letter}")

    def _put(self, char):
        if char == "\n":
            self._next_line()
        elif char == "\r":
            self.column = 0
        else:
            assert char.isprintable(), f"control {char!r} reached the terminal"
            if cell_len(self.lines[self.at] + char) > self.columns:
                self._next_line()
            line = self.lines[self.at]
            self.lines[self.at] = line[: self.column] + char + line[self.column + 1 :]
            self.column += 1

    def _next_line(self):
        self.at, self.column = self.at + 1, 0
        if self.at == len(self.lines):
            self.lines.append("")
