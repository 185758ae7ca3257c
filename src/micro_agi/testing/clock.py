"""A clock that moves only when a test says so."""

import asyncio
import heapq
import itertools


class FakeClock:
    """Time, wall time and sleeping for one event loop.

    `time` and `monotonic` stand in for those of the `time` module, `sleep` for
    `asyncio.sleep`. `advance` moves both clocks and wakes sleepers in the order of their
    deadlines, letting each run before the next is woken.
    """

    def __init__(self, *, wall: float = 1_700_000_000.0) -> None:
        """Start at `wall` seconds since 1970 and at 0 of the monotonic clock."""
        self._now = 0.0
        self._wall = wall
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._changed: asyncio.Event | None = None
        self.slept: list[float] = []
        """Every sleep asked for, in seconds."""

    def monotonic(self) -> float:
        """Return seconds since the clock was made."""
        return self._now

    def time(self) -> float:
        """Return seconds since 1970."""
        return self._wall + self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has moved the clock this far."""
        self.slept.append(seconds)
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        if self._changed is not None:
            self._changed.set()
        await future

    async def advance(self, seconds: float) -> None:
        """Move the clock and wake whoever slept until then."""
        until = self._now + seconds
        while self._sleepers and self._sleepers[0][0] <= until:
            deadline, _, future = heapq.heappop(self._sleepers)
            self._now = deadline
            if not future.done():
                future.set_result(None)
            # Twice: the future wakes its task, and what the task does may wake another.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        self._now = until

    async def until_sleeping(self) -> float:
        """Wait until somebody sleeps; return how long it still takes to wake the first."""
        while not self._prune():
            self._changed = asyncio.Event()
            await self._changed.wait()
        self._changed = None
        return self._sleepers[0][0] - self._now

    def _prune(self) -> bool:
        """Forget cancelled sleepers; whether any is left."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return bool(self._sleepers)
