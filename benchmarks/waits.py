"""How long each step of a turn takes until its first text, whoever runs the turn."""

import time


class Waits:
    """Of the turn that runs: one at a time in a process."""

    def __init__(self) -> None:
        self._since = 0.0
        self.seconds: list[float] = []

    def begin(self) -> None:
        """Note that somebody asked, and forget the turn before."""
        self.seconds = []
        self._since = time.perf_counter()

    def go_on(self) -> None:
        """Note that the last result is there, so that the next request can be made."""
        self._since = time.perf_counter()

    def text(self) -> None:
        """Note a piece of text; only the first of a step counts."""
        if self._since:
            self.seconds.append(time.perf_counter() - self._since)
            self._since = 0.0


WAITS = Waits()
