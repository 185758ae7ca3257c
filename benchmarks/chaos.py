"""Random kills of the process, of workers and of the zygote, under several busy sessions.

`python -m benchmarks.chaos [--seconds N]` ends with what was lost, done twice or left behind
(all of it has to be nothing: exit code 1 if not), and how long one session took to recover.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from benchmarks import chaos_turns, processes
from benchmarks.compare import Size
from benchmarks.long_turn import forked, run
from benchmarks.server import Server
from benchmarks.table import Row, absolute, show

TITLE = "chaos: kill -9 of the process, of workers and of the zygote, at random"
SESSIONS = 4
LIFE_S = (0.2, 3.0)
"""How long a process lives before it is killed, at random between these."""
PAUSE_S = (0.02, 0.3)
"""Between two kills of a worker or zygote."""
ZYGOTE_SHARE = 0.3
GONE_S = 10.0
"""What a killed process leaves behind has to be gone after this."""
CALM_SHARE = 0.2
"""Of the time: the last process is not killed, only its workers are: its descriptors count."""


def rows(server: Server, size: Size) -> list[Row]:
    """Play in a process of its own, which adopts what killed ones leave behind."""
    command = [sys.executable, "-m", "benchmarks.chaos", "--json", "--seconds", str(size.chaos_s)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise SystemExit(done.stderr)
    return as_rows(json.loads(done.stdout))


def as_rows(found: dict[str, float]) -> list[Row]:
    """Return the table; what must not be has the goal 0."""
    return [
        absolute("turns answered", found["turns"], ""),
        absolute("kills of the process", found["killed process"], ""),
        absolute("kills of workers", found["killed worker"], ""),
        absolute("kills of zygotes", found["killed zygote"], ""),
        absolute("turns cut off and resumed", found["resumed"], ""),
        absolute("lost turns", found["lost turns"], "", goal=0),
        absolute("repeated effects", found["repeated effects"], "", goal=0),
        absolute("wrong outcomes", found["wrong outcomes"], "", goal=0),
        absolute("orphans: processes", found["orphans"], "", goal=0),
        absolute("orphans: descriptors", found["descriptors"], "", goal=0),
        absolute("recovery of one session, median", found["recovery"], "ms", goal=200),
        absolute("recovery of one session, 95 %", found["recovery 95"], "ms", goal=200),
    ]


class Chaos:
    """One run: its home, its dice, and what it counted."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home = home
        self.counts: Counter[str] = Counter()
        self._dice = random.Random(seed)
        self._not_ours = processes.children(os.getpid())

    def play(self, seconds: float) -> None:
        """Kill for that long, then let every turn come to its end."""
        ends = time.monotonic() + seconds * (1 - CALM_SHARE)
        self._ended(self._started(0))  # writes the agents
        while time.monotonic() < ends:
            self._one_life()
        child = self._started(seconds * CALM_SHARE)
        self._storm(child, seconds * CALM_SHARE)
        self._ended(child)
        self._ended(self._started(0))

    def _started(self, seconds: float) -> int:
        """Start a process that resumes and plays turns for that long; return its id."""
        return forked(lambda: run(chaos_turns.play(self.home, SESSIONS, seconds=seconds)))

    def _one_life(self) -> None:
        child = self._started(600)
        self._storm(child, self._dice.uniform(*LIFE_S))
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            self.counts["wrong outcomes"] += 1
            return
        os.kill(child, signal.SIGKILL)
        self.counts["killed process"] += 1
        os.waitpid(child, 0)
        self._count_orphans()

    def _storm(self, child: int, seconds: float) -> None:
        """Kill workers and zygotes of a process for that long."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            time.sleep(min(left, self._dice.uniform(*PAUSE_S)))
            zygotes = processes.children(child)
            workers = [w for z in zygotes for w in processes.descendants(z)]
            victims, kind = workers, "worker"
            if self._dice.random() < ZYGOTE_SHARE:
                victims, kind = sorted(zygotes), "zygote"
            if victims:
                with suppress(ProcessLookupError):
                    os.kill(self._dice.choice(victims), signal.SIGKILL)
                    self.counts[f"killed {kind}"] += 1

    def _ended(self, child: int) -> None:
        """Wait for a process that should end well, and look at what it leaves."""
        if os.waitpid(child, 0)[1] != 0:
            self.counts["wrong outcomes"] += 1
        self._count_orphans()

    def _count_orphans(self) -> None:
        """Count what a process left running: it is ours now, since we are its reaper."""
        ends = time.monotonic() + GONE_S
        while left := processes.children(os.getpid()) - self._not_ours:
            for pid in left:
                if time.monotonic() > ends:
                    self.counts["orphans"] += 1
                    print(f"left behind: {processes.command(pid)}", file=sys.stderr)
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                else:
                    os.waitpid(pid, os.WNOHANG)
            time.sleep(0.005)


def main() -> int:
    """Run, print, and say by the exit code whether anything was lost, repeated or left."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--json", action="store_true", help="the counts, for `benchmarks`")
    given = parser.parse_args()
    processes.adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="micro-agi-") as home:
        chaos = Chaos(Path(home), given.seed)
        chaos.play(given.seconds)
        found, problems = chaos_turns.judge(Path(home), SESSIONS, chaos.counts)
    for problem in problems:
        print(f"wrong: {problem}", file=sys.stderr)
    print(json.dumps(found) if given.json else f"seed {given.seed}\n{show(TITLE, as_rows(found))}")
    return int(any(row.reached(row.goal) is False for row in as_rows(found)[:10]))


if __name__ == "__main__":
    sys.exit(main())
