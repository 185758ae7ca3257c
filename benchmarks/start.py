"""From nothing to the first request, and what is in memory after the first answer."""

import statistics
import subprocess
import tempfile
import time

from benchmarks.compare import Size
from benchmarks.processes import descendants, memory_mb
from benchmarks.programs import HAND, OURS, PROMPT, Ended, Terminal, environment, run
from benchmarks.server import Server
from benchmarks.table import Row, absolute, ratio

TITLE = "start: whole processes, warm files, one question"
PLAN = "text-8"


def rows(server: Server, size: Size) -> list[Row]:
    """Start both programs in turn, then look at the memory of each."""
    ours_url, hand_url = server.url("ours", PLAN), server.url("hand", PLAN)
    ours = (*OURS, "ask", "--base-url", ours_url, "--model", "bench", "hello")
    commands = {"ours": ours, "hand": (*HAND, hand_url)}
    first: dict[str, list[float]] = {name: [] for name in commands}
    ended: dict[str, list[Ended]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory(prefix="micro-agi-") as home:
        for number in range(size.starts + 1):
            for name, command in commands.items():
                done = run(command, home)
                if number:  # the first one makes the home and warms the files
                    first[name].append(server.last_request_at(name, PLAN) - done.started_at)
                    ended[name].append(done)
        program, sandbox = our_memory(home, ours_url)
        peer = hand_memory(home, hand_url)
    wall = {name: statistics.median(times) * 1000 for name, times in first.items()}
    cpu = {name: statistics.median(e.cpu_s for e in all_) * 1000 for name, all_ in ended.items()}
    return [
        ratio(
            "start to first request, wall", wall["ours"], wall["hand"], "ms", ahead=0.6, goal=0.42
        ),
        ratio("whole process with one answer, CPU, sandbox too", cpu["ours"], cpu["hand"], "ms"),
        absolute(
            "memory after the first answer, resident",
            program[0],
            "MB",
            peer=peer[0],
            ahead=70,
            goal=50,
        ),
        absolute("the same, proportional", program[1], "MB", peer=peer[1]),
        absolute("sandbox beside it: zygote and workers, proportional", sandbox, "MB"),
    ]


def our_memory(home: str, url: str) -> tuple[tuple[float, float], float]:
    """Return memory of the terminal agent after one answer, and that of its sandbox."""
    command = (*OURS, "--base-url", url, "--model", "bench")
    with Terminal(command, home) as terminal:
        terminal.until(lambda shown: PROMPT in shown)
        terminal.type(b"hello\r")
        terminal.until(lambda shown: PROMPT in shown.partition(b"word7")[2])
        time.sleep(0.5)  # the sandbox starts beside the prompt
        children = descendants(terminal.pid)
        return memory_mb(terminal.pid), sum(memory_mb(child)[1] for child in children)


def hand_memory(home: str, url: str) -> tuple[float, float]:
    """Return memory of the hand loop after one answer."""
    process = subprocess.Popen(
        (*HAND, url, "--stay"),
        env=environment(home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    found = memory_mb(process.pid)
    process.stdin.close()
    process.stdout.close()
    process.wait(10)
    return found
