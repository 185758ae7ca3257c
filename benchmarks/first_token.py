"""How soon the first token of each answer is shown."""

from statistics import median

from benchmarks.client import Sample
from benchmarks.compare import Size, interleaved
from benchmarks.server import Server
from benchmarks.table import Row, earlier

TITLE = "first_token: until the first streamed token, wall"


def rows(server: Server, size: Size) -> list[Row]:
    """Measure the steps of long turns, and many short turns, on connections that are open."""
    long = f"echo-1-{size.steps}"
    plans = {"ours": (long, "echo"), "hand": (long, "echo")}
    turns = interleaved(server, plans, size, turns=max(1, size.turns // 10))
    plans = {"ours": ("text-8", "echo"), "hand": ("text-8", "echo")}
    questions = interleaved(server, plans, size, turns=size.turns)
    return [
        earlier(
            f"of each step, {size.steps} steps",
            _ms(turns["ours"]),
            _ms(turns["hand"]),
            "ms",
            ahead=1.6,
            goal=1.9,
        ),
        earlier(
            "of the answer to the first question",
            _ms(questions["ours"]),
            _ms(questions["hand"]),
            "ms",
        ),
    ]


def _ms(samples: list[Sample]) -> float:
    return median(median(sample.first_text_s) for sample in samples) * 1000
