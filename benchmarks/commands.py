"""How long a person waits for the program itself: version, help, prompt."""

import statistics
import tempfile
from typing import Any

from benchmarks.compare import Size
from benchmarks.processes import cpu_s
from benchmarks.programs import OURS, PROMPT, PYTHON, Terminal, wall_ms
from benchmarks.server import Server
from benchmarks.table import Row, absolute

TITLE = "commands: whole process, wall, warm files (limit: a Python that does nothing)"


def rows(server: Server, size: Size) -> list[Row]:
    """Run each several times in a home that exists."""
    with tempfile.TemporaryDirectory(prefix="micro-agi-") as home:
        python = wall_ms(PYTHON, home, size.starts)
        limit: Any = {"peer": python, "peer_name": "python"}
        version = wall_ms((*OURS, "--version"), home, size.starts)
        help_ = wall_ms((*OURS, "--help"), home, size.starts)
        command = (*OURS, "--base-url", server.url("prompt", "text-8"), "--model", "bench")
        prompt_ms(command, home)
        prompts = [prompt_ms(command, home) for _ in range(size.starts)]
    return [
        absolute("--version", version, "ms", ahead=100, goal=60, **limit),
        absolute("--help", help_, "ms", ahead=100, goal=60, **limit),
        absolute(
            "prompt ready, on a terminal",
            statistics.median(wall for wall, _ in prompts),
            "ms",
            ahead=400,
            goal=300,
            **limit,
        ),
        absolute("the same, CPU", statistics.median(cpu for _, cpu in prompts), "ms"),
    ]


def prompt_ms(command: tuple[str, ...], home: str) -> tuple[float, float]:
    """Return wall and CPU time until the prompt of the terminal agent is there."""
    with Terminal(command, home) as terminal:
        wall_s = terminal.until(lambda shown: PROMPT in shown)
        return wall_s * 1000, cpu_s(terminal.pid) * 1000
