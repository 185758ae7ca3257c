"""Run a coroutine without any system resource: tools may be `async`, but own no sockets.

The usual event loop opens a socket pair and an epoll descriptor, which the filter refuses.
Nothing here can become readable; so waiting for an event is sleeping until the next timer.
"""

import asyncio
import selectors
import time
from collections.abc import Mapping
from typing import Any


class _NothingToWatch(selectors.BaseSelector):
    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        raise NotImplementedError("tools have no sockets or pipes to wait for")

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        raise KeyError(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # Without a timer nothing will ever happen; the deadline interrupts the sleep.
        time.sleep(3600.0 if timeout is None else max(0.0, timeout))
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}


class Loop(asyncio.BaseEventLoop):
    """An event loop of timers and tasks alone."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _NothingToWatch()

    def _process_events(self, event_list: Any) -> None:
        """Nothing is watched, so there are no events."""

    def _write_to_self(self) -> None:
        """There is no other thread that could wake this one."""


def finish(coroutine: Any) -> Any:
    """Run a coroutine to its end and return its result."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(coroutine)
