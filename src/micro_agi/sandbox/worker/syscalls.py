"""Hold the kernel's numbers that the lockdown needs, per machine, and the way to call it.

Values here are named tuples: importing `dataclasses` would take a sixth of the zygote's start.

Only what the Lua worker may use after the lock, and what the lock itself uses. A machine
that is not in the table has no seccomp filter here, and so no sandbox.

Source: the kernel's syscall tables; spec/sandbox.md 2.2 (no dependency but ctypes).
"""

import ctypes
import os
from collections.abc import Mapping
from typing import NamedTuple

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
LIBC.prctl.argtypes = [ctypes.c_int, *([ctypes.c_ulong] * 4)]

# The same on every machine: the tables were merged from number 424 on.
LANDLOCK_CREATE_RULESET = 444
LANDLOCK_ADD_RULE = 445
LANDLOCK_RESTRICT_SELF = 446

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_GET_SECCOMP = 21
PR_SET_NO_NEW_PRIVS = 38


class Machine(NamedTuple):
    """One architecture: its audit number and its syscall numbers by name."""

    audit: int
    """What seccomp reports as `arch`; another value means a foreign calling convention."""
    numbers: Mapping[str, int]
    has_x32: bool = False
    """Whether a second ABI shares `audit` and sets bit 30 of the number."""


X86_64 = Machine(
    audit=0xC000003E,
    has_x32=True,
    numbers={
        **{"read": 0, "write": 1, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12},
        **{"rt_sigreturn": 15, "mremap": 25, "madvise": 28, "exit": 60, "gettimeofday": 96},
        **{"capset": 126, "pivot_root": 155, "futex": 202, "clock_gettime": 228},
        **{"exit_group": 231, "seccomp": 317, "getrandom": 318},
    },
)
AARCH64 = Machine(
    audit=0xC00000B7,
    numbers={
        **{"read": 63, "write": 64, "mmap": 222, "mprotect": 226, "munmap": 215, "brk": 214},
        **{"rt_sigreturn": 139, "mremap": 216, "madvise": 233, "exit": 93, "gettimeofday": 169},
        **{"capset": 91, "pivot_root": 41, "futex": 98, "clock_gettime": 113},
        **{"exit_group": 94, "seccomp": 277, "getrandom": 278},
    },
)
MACHINES: Mapping[str, Machine] = {"x86_64": X86_64, "aarch64": AARCH64}


def this_machine() -> Machine | None:
    """Return the running machine's numbers, or None when it is not in the table."""
    return MACHINES.get(os.uname().machine)


def fail(what: str) -> OSError:
    """Build the error of the libc call that just failed."""
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def prctl(option: int, value: int) -> None:
    """Set one property of this process, or raise."""
    if LIBC.prctl(option, value, 0, 0, 0) != 0:
        raise fail(f"prctl {option}")
