"""Eight tools of 50 ms in one step: what the runtime adds to the slowest of them."""

from benchmarks.compare import Size, interleaved, median
from benchmarks.server import Server
from benchmarks.table import Row, absolute

TITLE = "parallel: eight 50 ms tools in one step, wall above 50 ms"


def rows(server: Server, size: Size) -> list[Row]:
    """Measure from the end of the reply with the calls to the next request."""
    plans = {"ours": ("wait-8-2", "wait"), "hand": ("wait-8-2", "wait")}
    samples = interleaved(server, plans, size, turns=max(1, size.turns // 5))
    ours, hand = (
        median(samples[name], lambda s: (s.tools_s - 0.05) * 1000) for name in ("ours", "hand")
    )
    return [absolute("eight 50 ms tools", ours, "ms", peer=hand, ahead=6, goal=3)]
