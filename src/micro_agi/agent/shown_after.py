"""Show a reply once the request that it answers is journalled, not a moment earlier."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from micro_agi.messages import AnyEvent

Show = Callable[[AnyEvent], None]


class ShownAfter:
    """A commit that runs beside a block, and a place for the block's events until it is done.

    `async with ShownAfter(commit, show) as show_later:` leaves the block with what the commit
    raised as soon as it raised; then nothing of the block was shown, and none of it counts.
    """

    def __init__(self, commit: Coroutine[Any, Any, object], show: Show) -> None:
        self._commit = commit
        self._show = show
        self._held: list[AnyEvent] = []
        self._inside = True
        self._stopped = False

    async def __aenter__(self) -> Show:
        parent = asyncio.current_task()
        assert parent is not None
        self._parent, self._cancelling = parent, parent.cancelling()
        self._task = asyncio.create_task(self._commit)
        self._task.add_done_callback(self._committed)
        return self._take

    async def __aexit__(self, raised: type[BaseException] | None, *_: object) -> None:
        self._inside = False
        if not self._task.done():
            # Not awaited itself: cancelled midway, its events would be in the journal and
            # not in the conversation.
            await asyncio.wait([self._task])
        if self._stopped:
            cancelled = self._parent.uncancel() > self._cancelling
        else:
            cancelled = raised is asyncio.CancelledError
        if cancelled:
            return  # somebody else did: that goes before
        self._task.result()
        self._release()

    def _take(self, event: AnyEvent) -> None:
        if self._held or not self._task.done():
            self._held.append(event)
        else:
            self._show(event)

    def _committed(self, task: "asyncio.Task[object]") -> None:
        if not (task.cancelled() or task.exception()):
            self._release()
        elif self._inside:
            self._stopped = self._parent.cancel()

    def _release(self) -> None:
        held, self._held = self._held, []
        for event in held:
            self._show(event)
