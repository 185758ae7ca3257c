"""Watch the deadline of one call from outside its worker: one timer, which kills.

Time in host calls does not count as computing, but the total limit includes it.
"""

import asyncio
from time import monotonic

from micro_agi.sandbox.host.calls import Frame
from micro_agi.sandbox.worker_channel import Worker


class Watch:
    """The timer of one call. It kills the worker; the reason tells which limit it was.

    At the total limit it also ends the wait for a host function. `asyncio.timeout_at` around
    each host call would do the same for a fifth of what a host call costs. Code that can be
    interrupted gets a signal first, and some grace to give up.

    A call that is answered in place, within microseconds and without a host call, never has
    one: making it takes as long as all else that the parent does for such a call.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, worker: Worker, frame: Frame) -> None:
        self._loop = loop
        self._worker = worker
        self._frame = frame
        task = asyncio.current_task()
        assert task is not None, "calls run in tasks"
        self._task = task
        self._cancelled_before = task.cancelling()
        self._ended_a_wait = False
        self.interrupted = False
        frame.started = loop.time()
        frame.ends = frame.started + frame.limits.total_s
        if frame.context.deadline is not None:
            frame.ends = min(frame.ends, frame.context.deadline)
        first = min(frame.started + frame.limits.wall_s, frame.ends)
        self._timer = loop.call_at(first, self._look)

    def close(self) -> None:
        """Stop watching, and tell the worker what it has computed."""
        self._timer.cancel()
        self._worker.computed_s += self._frame.computed_s(self._loop.time())
        if self._ended_a_wait:
            # A host function kept the cancellation to itself.
            self._task.uncancel()

    def begin_wait(self) -> None:
        """Note that the parent has the turn: that is no computing, but within the total limit."""
        self._frame.waiting_since = monotonic()

    def end_wait(self) -> None:
        """Note that the worker has it again."""
        frame = self._frame
        assert frame.waiting_since is not None, "it began"
        frame.waited_s += monotonic() - frame.waiting_since
        frame.waiting_since = None

    def ended_the_wait(self) -> bool:
        """Whether the cancellation that arrived is this timer's, and nobody else's too."""
        if not self._ended_a_wait:
            return False
        self._ended_a_wait = False
        return self._task.uncancel() <= self._cancelled_before

    def _look(self) -> None:
        now, frame = self._loop.time(), self._frame
        left = frame.limits.wall_s - frame.computed_s(now)
        # The loop's clock may be a tick early; less than a tick left is nothing left.
        if left <= 0.001 and frame.unit.language == "python" and not self.interrupted:
            self.interrupted = True
            self._worker.interrupt()
            self._timer = self._loop.call_at(now + frame.limits.grace_s, self._look)
        elif left <= 0.001:
            self._worker.kill("wall")
        elif now >= frame.ends:
            self._worker.kill("total")
            if frame.waiting_since is not None:
                self._ended_a_wait = True
                self._task.cancel()
        else:
            self._timer = self._loop.call_at(min(now + left, frame.ends), self._look)
