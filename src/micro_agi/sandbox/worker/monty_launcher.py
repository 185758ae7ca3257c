"""Become Monty, locked: what a worker's speaker starts in Monty's place.

The client of `pydantic-monty` starts a program that it is given by path, and nothing can be done
between its fork and its exec. So it is given a script (`monty_zygote.script`) that comes here.
"""

import os
import sys

from micro_agi.sandbox.worker.monty_lock import lock_interpreter
from micro_agi.sandbox.worker.syscalls import this_machine


def main(binary: str, memory_bytes: int) -> None:
    """Lock this process and run `binary` in it; without a lock nothing runs."""
    machine = this_machine()
    if machine is None:
        sys.exit("there is no table of system calls for this machine")
    os.closerange(3, 256)
    lock_interpreter(machine, os.getppid(), memory_bytes)
    os.execve(binary, ["monty", *sys.argv[1:]], {})  # noqa: S606 - that is what it is for
