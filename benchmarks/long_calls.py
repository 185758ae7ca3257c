"""The process of a turn with very many calls, in a history that compaction bounds.

`python -m benchmarks.long_calls URL STEPS` plays it and prints as JSON what it took.
"""

import asyncio
import gc
import json
import os
import sys
import tempfile
import time

from benchmarks.client import NULL, QUESTION, Job
from benchmarks.our_loop import OurLoop
from benchmarks.processes import memory_mb
from micro_agi.messages import AnyEvent, Compacted, StepStarted


class Marks:
    """CPU and memory as they were when certain steps began."""

    def __init__(self, steps: set[int]) -> None:
        self._steps = steps
        self.cpu_s: dict[int, float] = {}
        self.memory_mb: dict[int, float] = {}
        self.compactions = 0

    def see(self, event: AnyEvent) -> None:
        """Take one event of the turn."""
        self.compactions += isinstance(event, Compacted)
        if isinstance(event, StepStarted) and event.step in self._steps:
            gc.collect()
            self.cpu_s[event.step] = time.process_time()
            self.memory_mb[event.step] = memory_mb("self")[0]


def spans(steps: int) -> dict[int, tuple[int, int]]:
    """Return where to measure: the second half of the first 100, 1,000, 10,000 of 10,000."""
    return {n: (max(1, n // 2), max(2, n)) for n in (steps // 100, steps // 10, steps)}


async def play(url: str, steps: int, home: str) -> dict[str, object]:
    """Play the turn, then open its session again."""
    places = spans(steps)
    marks = Marks({step for span in places.values() for step in span})
    job = Job(ours=True, base_url=url, tool="echo", home=home)
    limits = {"max_steps": steps + 2, "max_tool_calls": 0, "turn_timeout_s": 1e6}
    loop = await OurLoop.open(job, out=NULL, **limits)
    session = await loop.conversation(0)
    finished = await session.run(QUESTION, marks.see)
    assert (finished.outcome, finished.steps) == ("answered", steps + 1), finished
    events = (await loop.runtime.journal.find(session.id)).events
    began = time.perf_counter()
    again = await loop.runtime.session(session.id)
    opened_ms = (time.perf_counter() - began) * 1000
    assert again.conversation == session.conversation
    return {
        "step_ms": [
            (marks.cpu_s[to] - marks.cpu_s[since]) * 1000 / (to - since)
            for since, to in places.values()
        ],
        "memory_mb": [marks.memory_mb[to] for _, to in places.values()],
        "compactions": marks.compactions,
        "events": events,
        "opened_ms": opened_ms,
    }


def main(url: str, steps: str) -> None:
    """Play in a home of its own."""
    with tempfile.TemporaryDirectory(prefix="micro-agi-") as home:
        print(json.dumps(asyncio.run(play(url, int(steps), home))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
    # The runtime of this process is not closed: what is measured here is the turn.
    os._exit(0)
