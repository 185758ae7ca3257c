"""Ten thousand tool calls in one turn: what a step costs then, beside what it cost before."""

import subprocess
from statistics import median

from msgspec import Struct, json

from benchmarks.compare import Size
from benchmarks.server import Server
from benchmarks.table import Row, absolute, ratio

TITLE = "calls: many in one turn, the history bounded by compaction"
FLAT = 1.1
"""Times the cost of a step in a shorter turn."""


class Played(Struct, frozen=True, kw_only=True):
    """What one turn took: the first two for each number of calls, the fewest first."""

    step_ms: tuple[float, ...]
    memory_mb: tuple[float, ...]
    compactions: int
    events: int
    opened_ms: float


def rows(server: Server, size: Size) -> list[Row]:
    """Play one long turn, in a process of its own, round by round."""
    rounds = [_play(server, size, number) for number in range(size.call_rounds)]
    few, some, many = (median(played.step_ms[n] for played in rounds) for n in range(3))
    before, after = (median(played.memory_mb[n] for played in rounds) for n in (1, 2))
    last = rounds[-1]
    tenth, hundredth = size.calls // 10, size.calls // 100
    return [
        ratio(
            f"CPU of a step, up to {size.calls} calls",
            many,
            few,
            "ms",
            peer_name=f"up to {hundredth}",
            goal=FLAT,
        ),
        ratio(
            f"CPU of a step, up to {tenth} calls",
            some,
            few,
            "ms",
            peer_name=f"up to {hundredth}",
            goal=FLAT,
        ),
        ratio(
            f"memory after {size.calls} calls",
            after,
            before,
            "MB",
            peer_name=f"after {tenth}",
            goal=FLAT,
        ),
        absolute("opening the session then", last.opened_ms, "ms", goal=200),
        absolute("compactions on the way", last.compactions, ""),
        absolute("events in the journal", last.events, ""),
    ]


def _play(server: Server, size: Size, number: int) -> Played:
    url = server.url(f"calls{number}", f"counted-{size.calls + 1}")
    command = [size.python, "-m", "benchmarks.long_calls", url, str(size.calls)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.decode(done.stdout, type=Played)
