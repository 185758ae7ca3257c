"""What a streamed token costs, shown on a plain terminal."""

from benchmarks.client import Sample
from benchmarks.compare import Size, interleaved, median
from benchmarks.server import Server
from benchmarks.table import Row, absolute, ratio

TITLE = "tokens: CPU of streaming one answer, plain terminal included"


def rows(server: Server, size: Size) -> list[Row]:
    """Measure a long answer, a tenth of it, and one that comes a token at a time."""
    many, few = size.tokens, size.tokens // 10
    long, short, slow = (
        interleaved(server, dict.fromkeys(("ours", "hand"), (plan, "")), size)
        for plan in (f"text-{many}", f"text-{few}", f"slow-{few}")
    )
    ours = median(long["ours"], cpu_ms)
    growth = ours / median(short["ours"], cpu_ms)
    return [
        ratio(
            f"{many} tokens",
            ours,
            median(long["hand"], cpu_ms),
            "ms",
            ahead=0.10,
            goal=0.05,
        ),
        absolute(f"{many} tokens against {few} (10 is linear)", growth, "×", goal=11),
        ratio(
            f"{few} tokens, one a millisecond",
            median(slow["ours"], cpu_ms),
            median(slow["hand"], cpu_ms),
            "ms",
        ),
    ]


def cpu_ms(sample: Sample) -> float:
    """Return the CPU of the turn."""
    return sample.cpu_s * 1000
