"""How long one look at a file may take, and whether somebody still wants it."""

import threading
import time

SECONDS = 20.0
"""Of reading: a gigabyte is counted in two, and described in about this."""


class Budget:
    """Shared by the thread that reads and the task that waits for it."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._dropped = threading.Event()

    def drop(self) -> None:
        """Say that nobody waits any more."""
        self._dropped.set()

    @property
    def spent(self) -> bool:
        """Whether to stop here; costs a tenth of a microsecond."""
        return self._dropped.is_set() or time.monotonic() > self._until
