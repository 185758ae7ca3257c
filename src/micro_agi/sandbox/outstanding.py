"""Run the host calls of one conversation that are in flight at once.

The wire stays strictly alternating: the worker says in one frame what to start, what it no
longer wants and how long it can wait; it gets one frame with whatever has finished. So a
worker still speaks only when it is asked, and the time in which the parent has the turn is
the time that counts as waiting.

Bounded: `CONCURRENT` calls of a conversation run, the others wait; how many there can be at
all is `Limits.host_calls`. A call into another worker needs a place (`Places`).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import msgspec

from micro_agi.sandbox.host.calls import HostCall, HostFunction

CONCURRENT = 16
"""Host calls of one conversation that run at the same time."""
REPLY_BYTES = 256 << 10
"""Of answers in one frame, unless a single one is longer: the worker's heap is small."""

Release = Callable[[], None]
Outcome = Callable[[HostCall], Awaitable[bytes]]
"""Perform a call and return its encoded answer: `[operation, value]` or a refusal."""


class Places:
    """A fixed number of places for calls, given to whoever waits longest."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._turns: deque[asyncio.Future[Release]] = deque()

    def try_take(self) -> bool:
        """Take a place if one is free; then nobody waits for it."""
        if self._free == 0:
            return False
        self._free -= 1
        return True

    async def take(self) -> None:
        """Take a place, or wait for one."""
        if self.try_take():
            return
        turn: asyncio.Future[Release] = asyncio.get_running_loop().create_future()
        self.wait(turn)
        await granted(turn)

    def wait(self, turn: asyncio.Future[Release]) -> None:
        """Give the next free place to `turn`, unless it has got one elsewhere by then."""
        self._turns.append(turn)

    def release(self) -> None:
        """Hand a place to whoever waits longest, or keep it free."""
        if not self._turns or not _hand_on(self._turns, self.release):
            self._free += 1


async def granted(turn: asyncio.Future[Release]) -> Release:
    """Wait for a turn; a place that comes together with a cancellation goes back."""
    try:
        return await turn
    except asyncio.CancelledError:
        if turn.done() and not turn.cancelled():
            turn.result()()
        raise


def _hand_on(turns: "deque[asyncio.Future[Release]]", release: Release) -> bool:
    while turns:
        turn = turns.popleft()
        if not turn.done():
            turn.set_result(release)
            return True
    return False


class Outstanding:
    """The numbered host calls of one conversation. `close` ends those that still run.

    Any call may have one nested call in flight, so the innermost always goes on and a chain
    cannot block itself. More at once take one of a fixed number of places, whichever
    becomes free first: the own one or a shared one. So fan-out multiplies nothing.
    """

    def __init__(self, perform: Outcome, places: Places) -> None:
        self._perform = perform
        self._places = places
        self._slots = asyncio.Semaphore(CONCURRENT)
        self._own_place_free = True
        self._turns: deque[asyncio.Future[Release]] = deque()
        self._running: dict[int, asyncio.Task[bytes]] = {}
        self._news_only: set[int] = set()
        self._finished: dict[int, asyncio.Task[bytes]] = {}
        self._dropped: set[asyncio.Task[bytes]] = set()
        self._news = asyncio.Event()

    def __len__(self) -> int:
        """How many calls have not been answered."""
        return len(self._running) + len(self._finished)

    def __contains__(self, number: int) -> bool:
        return number in self._running or number in self._finished

    @property
    def only_news(self) -> bool:
        """Whether nothing is in flight but calls that wait for news, which may never come."""
        return not self._finished and self._running.keys() <= self._news_only

    def start(self, number: int, call: HostCall, function: HostFunction | None) -> None:
        """Begin a call; its answer will carry `number`."""
        needs = function.needs if function is not None else "slot"
        if needs == "nothing":
            self._news_only.add(number)
        task = asyncio.create_task(self._run(call, needs), name=f"host call {call.function}")
        self._running[number] = task
        task.add_done_callback(lambda done: self._note(number, done))

    def drop(self, number: int) -> None:
        """Cancel a call that nobody waits for any more; it will not be answered."""
        self._finished.pop(number, None)
        self._news_only.discard(number)
        task = self._running.pop(number, None)
        if task is not None:
            task.cancel()
            self._dropped.add(task)

    async def answers(self, deadline: float | None, *, now: bool) -> list[msgspec.Raw]:
        """Return answers, the longest finished first; wait for one unless told not to.

        Empty when the deadline, on the loop's clock, came first. What a host function
        raises beyond its refusals is raised here.
        """
        if now:
            # One round of the loop, in which refusals and quick answers show up.
            await asyncio.sleep(0)
            for number, task in list(self._running.items()):
                if task.done():
                    self._note(number, task)
        elif not self._finished:
            self._news.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._news.wait()
            except TimeoutError:
                return []
        return self._take()

    def _take(self) -> list[msgspec.Raw]:
        answers: list[msgspec.Raw] = []
        size = 0
        for number in list(self._finished):
            outcome = self._finished[number].result()
            size += len(outcome)
            if answers and size > REPLY_BYTES:
                break
            del self._finished[number]
            self._news_only.discard(number)
            answers.append(msgspec.Raw(msgspec.msgpack.encode((number, msgspec.Raw(outcome)))))
        return answers

    async def close(self) -> None:
        """Cancel what still runs and wait until it is gone."""
        tasks = [*self._running.values(), *self._dropped]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _note(self, number: int, task: asyncio.Task[bytes]) -> None:
        self._dropped.discard(task)
        if self._running.pop(number, None) is not None and not task.cancelled():
            self._finished[number] = task
            self._news.set()

    async def _run(self, call: HostCall, needs: str) -> bytes:
        if needs == "nothing":
            return await self._perform(call)
        if needs == "slot":
            async with self._slots:
                return await self._perform(call)
        release = await self._place()
        try:
            return await self._perform(call)
        finally:
            release()

    async def _place(self) -> Release:
        if self._own_place_free:
            self._own_place_free = False
            return self._release_own
        if self._places.try_take():
            return self._places.release
        turn: asyncio.Future[Release] = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        self._places.wait(turn)
        return await granted(turn)

    def _release_own(self) -> None:
        if not _hand_on(self._turns, self._release_own):
            self._own_place_free = True
