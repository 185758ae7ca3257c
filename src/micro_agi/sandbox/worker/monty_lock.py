"""Lock the two processes of a Monty worker: the interpreter, and the one that speaks for it.

Monty is a program of its own that takes Python apart without CPython, and without a lock: its
makers confine what it interprets, not the process. So `monty_launcher.py` locks the process
before Monty starts in it (memory, system calls), and once Monty is up its speaker takes the
rest: it may open nothing any more, not even a file to read. Starting a program needs to open
its libraries, so one filter alone could not say that; a limit on descriptors, lowered from
outside, can. At the end the speaker locks itself, all its threads included.

Source: spec/sandbox.md 6 "Degradation" level D, 7 (trap 15); decisions/0054-monty.md.
"""

import errno
import os
import platform
import resource
from collections.abc import Mapping
from pathlib import Path

from micro_agi.sandbox.worker import python_filter, seccomp
from micro_agi.sandbox.worker.lockdown import seal
from micro_agi.sandbox.worker.python_filter import (
    ATTACKS,
    F_DUPFD_CLOEXEC,
    PLAIN_FCNTL,
    READ_OWN_LIMITS,
    REFUSE,
    UNKNOWN_HERE,
)
from micro_agi.sandbox.worker.seccomp import KILL_PROCESS, Check, Rule, assemble
from micro_agi.sandbox.worker.syscalls import Machine

CPU_S = 300
"""Backstop for an interpreter whose speaker forgot it."""
PROGRAM_BYTES = 256 << 20
"""Address space of Monty itself: its code, the stack of its one thread, allocator arenas. 182 MB
were measured."""
ZERO_LIMITS = (
    resource.RLIMIT_CORE,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_MEMLOCK,
    resource.RLIMIT_MSGQUEUE,
)
NO_MORE = (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)
"""What is taken when a program has started: to open anything, and to start anything."""

X86_64: Mapping[str, int] = {
    **{"clone": 56, "execve": 59, "wait4": 61, "prctl": 157, "arch_prctl": 158},
    **{"set_tid_address": 218, "epoll_wait": 232, "epoll_ctl": 233, "waitid": 247},
    **{"set_robust_list": 273, "epoll_pwait": 281, "rseq": 334},
}
AARCH64: Mapping[str, int] = {
    **{"epoll_ctl": 21, "epoll_pwait": 22, "waitid": 95, "set_tid_address": 96},
    **{"set_robust_list": 99, "prctl": 167, "clone": 220, "execve": 221, "wait4": 260},
    **{"rseq": 293},
}
TABLES = {"x86_64": X86_64, "aarch64": AARCH64}

NEW_THREAD = Check(0, "any bit", 0x10000)
NAME_OF_THREAD = Check(0, "equal", 15)
# Write, read and write, create, truncate, a temporary file.
ONLY_READ = Check(2, "no bit", 0x1 | 0x2 | 0x40 | 0x200 | 0x400000)

ITS_WORK = (
    *("mmap", "mprotect", "munmap", "mremap", "brk", "madvise", "futex", "exit", "exit_group"),
    *("read", "write", "getrandom", "sched_yield", "sched_getaffinity", "clock_gettime"),
    *("gettimeofday", "nanosleep", "clock_nanosleep", "gettid", "getpid", "poll", "ppoll"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack"),
)
ITS_START = (
    *("execve", "fstat", "newfstatat", "pread64", "close", "lseek", "arch_prctl"),
    *("set_tid_address", "set_robust_list", "rseq"),
)


def interpreter_filter(machine: Machine) -> bytes:
    """Assemble the filter of a Monty process: to start, to compute, to talk through two pipes."""
    rules = [
        *(Rule(name) for name in (*ITS_WORK, *ITS_START)),
        Rule("openat", checks=(ONLY_READ,)),
        Rule("clone", checks=(NEW_THREAD,)),
        Rule("prctl", checks=(NAME_OF_THREAD,)),
        Rule("fcntl", checks=(PLAIN_FCNTL,)),
        Rule("fcntl", checks=(F_DUPFD_CLOEXEC,)),
        Rule("prlimit64", checks=READ_OWN_LIMITS),
        Rule("ioctl", REFUSE | errno.ENOTTY),
        *(Rule(name, REFUSE | errno.ENOSYS) for name in UNKNOWN_HERE),
        *(Rule(name, KILL_PROCESS) for name in ATTACKS),
    ]
    machine = _with_numbers(machine)
    known = [rule for rule in rules if rule.name in machine.numbers]
    return assemble(machine, known, otherwise=REFUSE | errno.EPERM)


def speaker_filter(machine: Machine) -> bytes:
    """Assemble the filter of the process that speaks for Monty, once it needs nothing new."""
    waits = ("epoll_wait", "epoll_pwait", "epoll_ctl", "wait4", "waitid")
    numbers = TABLES.get(platform.machine(), {})
    more = [Rule(name) for name in waits if name in numbers]
    return python_filter.program(machine, more, numbers)


def _with_numbers(machine: Machine) -> Machine:
    own = TABLES.get(platform.machine(), {})
    return machine._replace(numbers={**own, **machine.numbers, **python_filter.numbers()})


def lock_interpreter(machine: Machine, speaker: int, memory_bytes: int) -> None:
    """Lock this process for the Monty that it is about to become; any failure is fatal."""
    for kind in ZERO_LIMITS:
        resource.setrlimit(kind, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    seal(machine, speaker)
    address_bytes = PROGRAM_BYTES + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (address_bytes, address_bytes))
    seccomp.install(machine, interpreter_filter(machine))


def lock_speaker(machine: Machine, zygote: int, address_bytes: int) -> None:
    """Take from this process what its threads would not lose later: privileges and memory."""
    for kind in ZERO_LIMITS:
        resource.setrlimit(kind, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (address_bytes, address_bytes))
    seal(machine, zygote)


def close_doors(machine: Machine, interpreter: int) -> None:
    """Let neither process open or start anything from here on.

    Raises: OSError when the interpreter is not the locked one that was meant to run.
    """
    status = Path(f"/proc/{interpreter}/status").read_text()
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    privileges = int(facts["CapEff"], 16) | int(facts["CapPrm"], 16)
    if facts["Seccomp"] != "2" or facts["NoNewPrivs"] != "1" or privileges:
        raise OSError(errno.EPERM, "the interpreter started without its lock")
    for process in (interpreter, os.getpid()):
        for kind in NO_MORE:
            resource.prlimit(process, kind, (0, 0))
    seccomp.install(machine, speaker_filter(machine), every_thread=True)
