"""Many sessions in one process: fifty that work at once, and thousands that wait."""

import subprocess
import sys

from benchmarks.client import Sample
from benchmarks.compare import Size, interleaved, median
from benchmarks.server import Server
from benchmarks.table import Row, absolute, faster

TITLE = "sessions: new ones that work together, and idle ones"
STEPS = 3
"""Of one turn on average: the replies go to whoever asks next."""


def rows(server: Server, size: Size) -> list[Row]:
    """Measure sessions a second, by CPU and by the clock, and the memory of one that waits."""
    plan = f"echo-1-{STEPS}"
    plans = {"ours": (plan, "echo"), "hand": (plan, "echo")}
    samples = interleaved(server, plans, size, together=size.together)
    cpu, wall = (
        {name: size.together / median(samples[name], value) for name in plans}
        for value in (_cpu_s, _wall_s)
    )
    command = [sys.executable, "-m", "benchmarks.idle", str(size.idle)]
    idle = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [
        faster(
            f"{size.together} at once, {STEPS} steps, by CPU",
            cpu["ours"],
            cpu["hand"],
            "sessions/s",
            ahead=2.5,
            goal=10,
        ),
        faster("the same by the clock", wall["ours"], wall["hand"], "sessions/s"),
        absolute("memory of an idle session after one turn", float(idle), "KB"),
    ]


def _cpu_s(sample: Sample) -> float:
    return sample.cpu_s


def _wall_s(sample: Sample) -> float:
    return sample.wall_s
