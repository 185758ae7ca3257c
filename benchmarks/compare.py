"""Run clients in turn and compare them: interleaved rounds, so that a busy machine hits both."""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from msgspec import json, structs

from benchmarks.client import Job, Sample
from benchmarks.server import Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much to measure: `FULL` for numbers, `TINY` to see that a script works."""

    rounds: int
    steps: int
    history: int
    turns: int
    """Turns in one round, where one alone is too short to measure."""
    tokens: int
    entries: int
    tools: int
    """Of an agent with many."""
    starts: int
    """Whole processes started for one number."""
    together: int
    """Sessions that work at the same time."""
    idle: int
    """Sessions that wait."""
    chaos_s: float
    """How long things are killed at random."""
    calls: int
    """In one turn."""
    call_rounds: int
    python: str = sys.executable
    """What clients are started with; the tests have one that need not import."""


FULL = Size(
    rounds=5,
    steps=30,
    history=1600,
    turns=30,
    tokens=20_000,
    entries=100_000,
    tools=1000,
    starts=9,
    together=50,
    idle=2000,
    chaos_s=30.0,
    calls=10_000,
    call_rounds=1,
)
TINY = Size(
    rounds=1,
    steps=3,
    history=8,
    turns=2,
    tokens=50,
    entries=200,
    tools=20,
    starts=1,
    together=3,
    idle=20,
    chaos_s=1.0,
    calls=100,
    call_rounds=1,
)


class Client:
    """One running client process."""

    def __init__(self, job: Job, python: str) -> None:
        command = [python, "-m", "benchmarks.client", json.encode(job).decode()]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, turns: int) -> list[Sample]:
        """Run that many turns and return what each took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{turns}\n")
        self._process.stdin.flush()
        return json.decode(self._process.stdout.readline(), type=list[Sample])

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(20)


@contextmanager
def started(job: Job, python: str) -> Iterator[Client]:
    """Start a client, with a home of its own, as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="micro-agi-") as home:
        client = Client(structs.replace(job, home=home), python)
        try:
            yield client
        finally:
            client.close()


def interleaved(
    server: Server,
    plans: Mapping[str, tuple[str, str]],
    size: Size,
    *,
    turns: int = 1,
    history: int = 0,
    more: int = 0,
    budgets: Mapping[str, int] | None = None,
    together: int = 0,
) -> dict[str, list[Sample]]:
    """Run clients in turn, round by round, after one turn each to warm up.

    Shape: `plans` has (plan, tool) by the client's name; the name `hand` is the hand loop;
    `budgets` the tools that a client shows at most, of which there are `more`.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in plans}
    with ExitStack() as stack:
        clients = {}
        for name, (plan, tool) in plans.items():
            url = server.url(name, plan)
            job = Job(
                ours=name != "hand",
                base_url=url,
                tool=tool,
                history=history,
                more=more,
                together=together,
                budget=(budgets or {}).get(name, 0),
            )
            clients[name] = stack.enter_context(started(job, size.python))
            clients[name].run(1)
        for _ in range(size.rounds):
            for name, client in clients.items():
                samples[name] += client.run(turns)
    return samples


def median(samples: list[Sample], value: Callable[[Sample], float]) -> float:
    """Return the median of one value of all samples."""
    return statistics.median(value(sample) for sample in samples)
