"""Start whole programs, plain or on a terminal, and measure them from the outside."""

import os
import pty
import re
import select
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROMPT = b">"
"""The terminal moves its cursor over the blank after it, so that is not in what it writes."""
OURS = (sys.executable, "-m", "micro_agi")
HAND = (sys.executable, str(Path(__file__).parent / "hand_loop.py"))
PYTHON = (sys.executable, "-c", "pass")
LONGEST_S = 30.0
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r")


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that ran to its end."""

    started_at: float
    """On the clock of `time.monotonic`."""
    wall_s: float
    cpu_s: float
    """Of the program and of the processes it waited for."""


def environment(home: str) -> Mapping[str, str]:
    """Return an environment with nothing of ours in it but where state lives."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MICRO_AGI_", "OPENAI_"))}
    return kept | {"MICRO_AGI_HOME": home, "TERM": "xterm-256color"}


def run(command: Sequence[str], home: str) -> Ended:
    """Run a program to its end, output to nowhere; it has to succeed."""
    start = time.monotonic()
    process = subprocess.Popen(
        command, env=environment(home), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command} ended with {process.returncode}"
    return Ended(start, wall_s, usage.ru_utime + usage.ru_stime)


def wall_ms(command: Sequence[str], home: str, times: int) -> float:
    """Return the median wall time of a program, after one run to warm up."""
    run(command, home)
    return statistics.median(run(command, home).wall_s for _ in range(times)) * 1000


class Terminal:
    """A program on a terminal of its own. Use it with `with`; it is ended by force."""

    def __init__(self, command: Sequence[str], home: str) -> None:
        self.started_at = time.monotonic()
        ours, theirs = pty.openpty()
        self._descriptor = ours
        self._process = subprocess.Popen(
            command,
            env=environment(home),
            cwd=home,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.pid = self._process.pid
        self._seen = b""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._descriptor)

    def until(self, wanted: Callable[[bytes], bool]) -> float:
        """Read until what was shown since the last call is `wanted`.

        Returns the seconds since the program was started.
        """
        deadline = time.monotonic() + LONGEST_S
        while not wanted(ESCAPES.sub(b"", self._seen)):
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._descriptor], [], [], max(0, left))
            assert ready, f"waited {LONGEST_S} s; shown so far: {self._seen!r}"
            self._read()
        self._seen = b""
        return time.monotonic() - self.started_at

    def type(self, text: bytes) -> None:
        """Type something."""
        os.write(self._descriptor, text)

    def _read(self) -> None:
        piece = os.read(self._descriptor, 65536)
        if b"\x1b[6n" in piece:  # "where is the cursor?": real terminals answer
            self.type(b"\x1b[24;1R")
        self._seen += piece
