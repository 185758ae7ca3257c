"""Fork Monty workers on request: the program `python -I -S monty_zygote.py …`.

For machines whose kernel cannot hide files from CPython: level D. A worker is two processes:
Monty, an interpreter of a subset of Python, and the speaker forked here, which drives it with the
client of `pydantic-monty` and speaks our protocol with the parent.

Arguments: control fd, memory bytes, layers to leave out, seconds that a call may compute, Monty's
program, import paths.
"""

import gc
import os
import platform
import signal
import socket
import sys
from pathlib import Path
from typing import NamedTuple

# `-I -S` gave us the standard library alone; ours come from where the parent says.
sys.path.extend(sys.argv[6:])

from micro_agi.sandbox.worker import monty_lock, monty_worker, python_worker, seccomp
from micro_agi.sandbox.worker.forking import Layers, forked, serve_forks
from micro_agi.sandbox.worker.syscalls import Machine, this_machine

SCRIPT = python_worker.CHANNEL + 1
"""Descriptor of the script that becomes Monty."""
HIGH = 200
SLACK_BYTES = monty_lock.PROGRAM_BYTES
"""Address space of a speaker beside the zygote's and the values it moves: threads, buffers. Not
less than the interpreter's, which is started from it and can only lower it."""
PAGE_BYTES = 4096


class Order(NamedTuple):
    """What every worker is made with."""

    machine: Machine
    null: int
    script: int
    memory_bytes: int
    address_bytes: int
    wall_s: float
    zygote: int


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    memory_bytes, without = int(sys.argv[2]), set(sys.argv[3].split(","))
    layers = Layers()
    machine = this_machine()
    if machine is None:
        layers.tell("seccomp", f"no table of system calls for {platform.machine()}")
    elif "seccomp" in without or not seccomp.available():
        layers.tell("seccomp", "left out" if "seccomp" in without else "not available here")
    else:
        layers.tell("seccomp")
        layers.tell("limits")
        for name in ("landlock", "namespaces"):
            layers.tell(name, "left out" if name in without else "Monty is for where it is missing")
    if machine is None or layers.present == []:
        control.send(layers.as_bytes())
        return
    monty_worker.load()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    order = Order(
        machine=machine,
        null=os.open(os.devnull, os.O_RDWR),
        script=script(sys.argv[5], memory_bytes),
        memory_bytes=memory_bytes,
        address_bytes=pages * PAGE_BYTES + memory_bytes + SLACK_BYTES,
        wall_s=float(sys.argv[4]),
        zygote=os.getpid(),
    )
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    control.send(layers.as_bytes())
    serve_forks(control, lambda channel, _: forked(lambda: _work(channel, order)))


def script(binary: str, memory_bytes: int) -> int:
    """Write the program that becomes Monty into memory; return its descriptor.

    A file would need a place that anybody may execute from, and that nobody else may change.
    """
    lines = (
        f"#!{sys.executable} -ISB",
        "import sys",
        f"sys.path.extend({sys.argv[6:]!r})",
        "from micro_agi.sandbox.worker.monty_launcher import main",
        f"main({binary!r}, {memory_bytes})",
    )
    memory = os.memfd_create("monty", 0)
    os.write(memory, "\n".join(lines).encode())
    return memory


def _work(channel: int, order: Order) -> None:
    for standard in (0, 1, 2):
        os.dup2(order.null, standard)
    # By way of a high number: the script may have the one that the channel gets.
    os.dup2(order.script, HIGH)
    os.dup2(channel, python_worker.CHANNEL)
    os.dup2(HIGH, SCRIPT)
    os.closerange(SCRIPT + 1, 256)
    # The client would wait for its interpreter; an interrupt ends both.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    monty_lock.lock_speaker(order.machine, order.zygote, order.address_bytes)
    monty_worker.serve_calls(
        f"/proc/self/fd/{SCRIPT}",
        memory_bytes=order.memory_bytes,
        wall_s=order.wall_s,
        ready=lambda interpreter: monty_lock.close_doors(order.machine, interpreter),
    )


if __name__ == "__main__":
    main()
