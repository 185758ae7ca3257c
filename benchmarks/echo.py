"""The limits of a message to another process and back: C to C, and Python to Python."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SOURCE = Path(__file__).parent / "limits" / "pingpong.c"
MESSAGE_BYTES = 64
ECHO = """
import os, sys
fd = int(sys.argv[1])
while data := os.read(fd, 65536):
    os.write(fd, data)
"""

Times = list[float]
"""Microseconds, one for each repetition."""


def timed(act: Callable[[], object], times: int) -> Times:
    """Do something again and again; return what each time took."""
    clock = time.perf_counter_ns
    taken = []
    for _ in range(times):
        start = clock()
        act()
        taken.append((clock() - start) / 1000)
    return taken


def compiled(folder: Path) -> Path | None:
    """Build the C program; None without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    program = folder / "pingpong"
    subprocess.run([compiler, "-O2", "-o", program, SOURCE], check=True)
    return program


def c_to_c(program: Path, times: int) -> Times:
    """Return round trips between two C processes."""
    done = subprocess.run(
        [program, str(MESSAGE_BYTES), str(times)], check=True, capture_output=True, text=True
    )
    return [int(line) / 1000 for line in done.stdout.split()]


class PythonEcho:
    """A Python process that sends back what it gets. Use it with `with`."""

    def __enter__(self) -> "PythonEcho":
        self._channel, theirs = socket.socketpair()
        with theirs:
            fd = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", ECHO, str(fd)], pass_fds=[fd]
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._process.wait(5)

    def round_trips(self, times: int) -> Times:
        """Return round trips from this process to that one."""
        channel, message = self._channel, bytes(MESSAGE_BYTES)

        def once() -> None:
            channel.send(message)
            channel.recv(65536)

        return timed(once, times)
