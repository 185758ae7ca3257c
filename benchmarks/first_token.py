"""How soon the first token of an answer is shown."""

from benchmarks.compare import Size, interleaved, median
from benchmarks.server import Server
from benchmarks.table import Row, earlier

TITLE = "first_token: from the question to the first streamed token, wall"


def rows(server: Server, size: Size) -> list[Row]:
    """Measure many short turns on connections that are open."""
    plans = {"ours": ("text-8", "echo"), "hand": ("text-8", "echo")}
    samples = interleaved(server, plans, size, turns=size.turns)
    ours, hand = (
        median(samples[name], lambda s: s.first_token_s * 1000) for name in ("ours", "hand")
    )
    return [earlier("first streamed token", ours, hand, "ms", ahead=1.6, goal=1.9)]
