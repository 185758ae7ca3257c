"""One queue in front of one model: who is served, in which order, and until when.

A single thread owns the engine. In each round every sequence in service gets one token (the
engine computes those that fit together at once) and one prompt a piece of its computation,
in turns; so a long prompt or a long answer holds nobody up, and a sequence whose client has
left is gone before the next token. Those who wait come in order.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from micro_agi.errors import LimitReached, MicroAgiError, ProviderUnavailable
from micro_agi.modelserver.engine import Engine, Run, Sampling

Why: TypeAlias = Literal["end", "length", "cancelled", "failed"]


class Counted(Struct, frozen=True, kw_only=True):
    """Tokens of one sequence."""

    prompt: int
    cached: int
    """Those of the prompt that were kept from before."""
    completion: int


class Finished(Struct, frozen=True, kw_only=True):
    """How a sequence ended."""

    why: Why
    counted: Counted
    last: int | None = None
    """The token with which the model itself ended the reply."""
    error: MicroAgiError | None = None


class Job:
    """One sequence to be generated. `take` and `finished` are called by the engine's thread."""

    def __init__(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        *,
        max_tokens: int,
        take: Callable[[int], bool],
        finished: Callable[[Finished], None],
    ) -> None:
        """`take` gets each token but the one that ends the reply, and says whether to go on."""
        self.prompt = prompt
        self.sampling = sampling
        self.max_tokens = max_tokens
        self.take = take
        self.finished = finished
        self.run: Run | None = None
        self.completion = 0
        self._left = threading.Event()

    def cancel(self) -> None:
        """Stop before the next token; from any thread, at any time."""
        self._left.set()

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants the reply any more."""
        return self._left.is_set()


class Generations:
    """The queue and its thread."""

    def __init__(self, engine: Engine, *, at_once: int, waiting: int) -> None:
        """Serve at most `at_once` sequences and let at most `waiting` others wait."""
        self._engine = engine
        self._at_once = at_once
        self._most_waiting = waiting
        self._waiting: deque[Job] = deque()
        self._served: list[Job] = []
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="generation", daemon=True)

    def open(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Cancel everything and wait for the thread; takes at most one token's time."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def submit(self, job: Job) -> None:
        """Put a job at the end of the queue.

        Raises: LimitReached when too many wait already.
        """
        with self._changed:
            self._waiting = deque(j for j in self._waiting if not j.cancelled)
            if len(self._waiting) >= self._most_waiting:
                raise LimitReached(
                    f"{self._most_waiting} requests are waiting already",
                    where="the model's queue",
                    fix="try again later",
                )
            self._waiting.append(job)
            self._changed.notify()

    def load(self) -> dict[str, int]:
        """Return how many are in service, how many wait, and how many of both have left."""
        with self._changed:
            jobs = [*self._served, *self._waiting]
            return {
                "serving": len(self._served),
                "waiting": len(self._waiting),
                "leaving": sum(job.cancelled for job in jobs),
            }

    def _work(self) -> None:
        while self._admit():
            for job in [j for j in self._served if j.cancelled]:
                self._end(job, "cancelled")
            self._prefill()
            self._step()

    def _admit(self) -> bool:
        """Take in those who wait while there is room; sleep when nobody is there."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._waiting or self._served)
            if self._closing:
                jobs = [*self._served, *self._waiting]
                self._waiting.clear()
            else:
                jobs = []
                while self._waiting and len(self._served) < self._at_once:
                    self._served.append(self._waiting.popleft())
        for job in jobs:
            self._end(job, "cancelled")
        return not self._closing

    def _prefill(self) -> None:
        """Compute one piece of the prompt that has waited longest for one."""
        job = next((j for j in self._served if j.run is None or not j.run.ready), None)
        if job is None:
            return
        try:
            if job.run is None:
                job.run = self._engine.start(job.prompt, job.sampling)
            self._engine.prefill(job.run, alone=len(self._served) == 1 and not self._waiting)
        except Exception as error:  # noqa: BLE001 - the edge of one request
            self._end(job, "failed", error=_failure(error))
            return
        if not job.run.ready:
            with self._changed:
                self._served.remove(job)
                self._served.append(job)

    def _step(self) -> None:
        """Give a token to everybody whose prompt is computed."""
        ready = [(job, job.run) for job in self._served if job.run is not None and job.run.ready]
        if not ready:
            return
        try:
            tokens = self._engine.step([run for _, run in ready])
        except Exception as error:  # noqa: BLE001 - the edge of these requests
            for job, _ in ready:
                self._end(job, "failed", error=_failure(error))
            return
        for (job, _), token in zip(ready, tokens, strict=True):
            job.completion += 1
            if self._engine.is_end(token):
                self._end(job, "end", last=token)
            elif not job.take(token):
                self._end(job, "end")
            elif job.completion >= job.max_tokens:
                self._end(job, "length")

    def _end(
        self, job: Job, why: Why, *, last: int | None = None, error: MicroAgiError | None = None
    ) -> None:
        if job in self._served:
            with self._changed:
                self._served.remove(job)
        cached = 0
        if job.run is not None:
            cached = job.run.cached
            self._engine.finish(job.run)
        counted = Counted(prompt=len(job.prompt), cached=cached, completion=job.completion)
        job.finished(Finished(why=why, counted=counted, last=last, error=error))


def _failure(error: Exception) -> MicroAgiError:
    if isinstance(error, MicroAgiError):
        return error
    return ProviderUnavailable(
        f"the model failed: {type(error).__name__}: {error}"[:500],
        where="the model server",
        fix="send a shorter conversation, or look at the server's output",
    )
