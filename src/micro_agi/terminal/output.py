"""Write to a stream that may be slow, closed, or unable to hold a character.

One write a burst: what is written within one round of the event loop goes out together,
so a provider's packet of twenty tokens costs one system call, and nothing waits longer
than the round. A reader that went away (`| head`) is no error of the turn: it sets
`gone`, and whoever runs the turn decides.
"""

import asyncio
import os
from typing import TextIO


class Output:
    """One text stream of a terminal or a pipe."""

    def __init__(self, stream: TextIO) -> None:
        self.gone = False
        """Nobody reads any more; everything written from now on is dropped."""
        self._stream = stream
        self._waiting: list[str] = []

    @property
    def terminal(self) -> bool:
        """Whether a person sees this directly."""
        return self._stream.isatty()

    def write(self, text: str) -> None:
        """Write soon: at the latest when the event loop turns, at once without a loop."""
        self._waiting.append(text)
        if len(self._waiting) > 1:
            return
        try:
            asyncio.get_running_loop().call_soon(self.flush)
        except RuntimeError:
            self.flush()

    def flush(self) -> None:
        """Write what waits, now."""
        if not self._waiting:
            return
        text = "".join(self._waiting)
        self._waiting.clear()
        if self.gone:
            return
        try:
            self._send(text)
        except (BrokenPipeError, ConnectionResetError):
            self.gone = True
            self._muffle()

    def size(self) -> os.terminal_size:
        """Return columns and rows of the terminal behind it; 80 by 24 without one."""
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            size = os.terminal_size((80, 24))
        # A pseudo-terminal that nobody sized says 0 by 0.
        return os.terminal_size((size.columns or 80, size.lines or 24))

    def _send(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            known = self._stream.encoding or "ascii"
            self._stream.write(text.encode(known, "replace").decode(known))
        self._stream.flush()

    def _muffle(self) -> None:
        """Point the descriptor at nothing, or Python complains again when it exits."""
        try:
            descriptor = self._stream.fileno()
        except (OSError, ValueError):
            return
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, descriptor)
        os.close(nothing)
