"""How long a person waits for the program itself: version, help, prompt."""

import statistics
import tempfile

from benchmarks.compare import Size
from benchmarks.programs import OURS, PROMPT, PYTHON, Terminal, wall_ms
from benchmarks.server import Server
from benchmarks.table import Row, absolute

TITLE = "commands: whole process, wall, warm files (limit: a Python that does nothing)"


def rows(server: Server, size: Size) -> list[Row]:
    """Run each several times in a home that exists."""
    with tempfile.TemporaryDirectory(prefix="micro-agi-") as home:
        python = wall_ms(PYTHON, home, size.starts)
        limit = {"peer": python, "peer_name": "python"}
        version = wall_ms((*OURS, "--version"), home, size.starts)
        help_ = wall_ms((*OURS, "--help"), home, size.starts)
        command = (*OURS, "--base-url", server.url("prompt", "text-8"), "--model", "bench")
        prompt_s(command, home)
        prompt = statistics.median(prompt_s(command, home) for _ in range(size.starts)) * 1000
    return [
        absolute("--version", version, "ms", ahead=100, goal=60, **limit),
        absolute("--help", help_, "ms", ahead=100, goal=60, **limit),
        absolute("prompt ready, on a terminal", prompt, "ms", ahead=400, goal=300, **limit),
    ]


def prompt_s(command: tuple[str, ...], home: str) -> float:
    """Return how long it takes until the prompt of the terminal agent is there."""
    with Terminal(command, home) as terminal:
        return terminal.until(lambda shown: PROMPT in shown)
