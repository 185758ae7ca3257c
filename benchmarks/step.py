"""What one step of a turn costs, and what a long history adds to it."""

from benchmarks.client import Sample
from benchmarks.compare import Size, interleaved, median
from benchmarks.server import Server
from benchmarks.table import Row, ratio

TITLE = "step: CPU per step, streamed, journal on"


def rows(server: Server, size: Size) -> list[Row]:
    """Measure a short and a long conversation."""
    one = f"1-{size.steps}"
    plans = {
        "ours": (f"echo-{one}", "echo"),
        "sandboxed": (f"lua-{one}", "lua"),
        "hand": (f"echo-{one}", "echo"),
    }
    short = interleaved(server, plans, size)
    long = interleaved(
        server,
        {name: plans[name] for name in ("ours", "hand")},
        size,
        history=size.history,
    )
    hand = median(short["hand"], per_step_ms)
    return [
        ratio(
            f"{size.steps} steps, native tool",
            median(short["ours"], per_step_ms),
            hand,
            "ms",
            ahead=0.14,
            goal=0.06,
        ),
        ratio(
            f"{size.steps} steps, tool in the sandbox (workers' CPU apart)",
            median(short["sandboxed"], per_step_ms),
            hand,
            "ms",
        ),
        ratio(
            f"the same after {size.history} messages, native tool",
            median(long["ours"], per_step_ms),
            median(long["hand"], per_step_ms),
            "ms",
            ahead=0.013,
            goal=0.006,
        ),
    ]


def per_step_ms(sample: Sample) -> float:
    """Return the CPU of one step."""
    return sample.cpu_s * 1000 / sample.steps
