"""The limits of a message to another process and back: C to C, Python to Python, Python to Lua."""

import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import lupa

SOURCE = Path(__file__).parent / "limits" / "pingpong.c"
MESSAGE_BYTES = 64
ECHO = """
import os, sys
fd = int(sys.argv[1])
while data := os.read(fd, 65536):
    os.write(fd, data)
"""
LUA_ECHO = """
import sys
sys.path.append(sys.argv[2])
import os
from lupa import lua54
os.dup2(int(sys.argv[1]), 0)
os.dup2(0, 1)
lua54.LuaRuntime(encoding=None).execute(b'''
  io.stdin:setvbuf("full", 65536)
  io.stdout:setvbuf("no")
  local read, write, pack, unpack = io.stdin.read, io.stdout.write, string.pack, string.unpack
  while true do
    local header = read(io.stdin, 4)
    if not header then return end
    write(io.stdout, pack("<s4", read(io.stdin, (unpack("<I4", header)))))
  end
''')
"""
"""Frames as a worker's, but nothing in them is read or run."""

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


class Echo:
    """A process that sends back what it gets: Python, or the interpreter of our workers.

    Use it with `with`.
    """

    def __init__(self, program: str = ECHO) -> None:
        self._program = program

    def __enter__(self) -> "Echo":
        self._channel, theirs = socket.socketpair()
        site = str(Path(lupa.__file__).parent.parent)
        with theirs:
            fd = theirs.fileno()
            command = [sys.executable, "-I", "-S", "-c", self._program, str(fd), site]
            self._process = subprocess.Popen(command, pass_fds=[fd])
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._process.wait(5)

    def round_trips(self, times: int) -> Times:
        """Return round trips from this process to that one."""
        channel = self._channel
        message = struct.pack("<I", MESSAGE_BYTES - 4) + bytes(MESSAGE_BYTES - 4)

        def once() -> None:
            channel.send(message)
            channel.recv(65536)

        return timed(once, times)
