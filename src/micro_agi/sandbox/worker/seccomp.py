"""Build and install the system call filter of a Lua worker: everything else kills it.

A compromised interpreter may read fd 0, write fd 1, manage anonymous memory that is not
executable, tell the time, and exit. The filter is raw BPF, so no library is needed.

Source: spec/sandbox.md 2.2, 2.3 (43 of 43 forbidden calls die) and 6.
"""

import ctypes
import struct
from collections.abc import Iterable
from typing import Literal, NamedTuple

from micro_agi.sandbox.worker.syscalls import LIBC, PR_GET_SECCOMP, Machine, fail

ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000

LOAD = 0x20
JUMP_EQUAL = 0x15
JUMP_AT_LEAST = 0x35
JUMP_BITS = 0x45
RETURN = 0x06

NUMBER_OFFSET = 0
ARCH_OFFSET = 4
X32_BIT = 0x40000000
SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_TSYNC = 1

PROT_EXEC = 4
MAP_ANONYMOUS = 0x20

Instruction = tuple[int, int, int, int]


class Check(NamedTuple):
    """A condition on half of one argument: the low one, or the high one."""

    argument: int
    test: Literal["equal", "any bit", "no bit"]
    value: int
    high: bool = False


class Rule(NamedTuple):
    """What to do with one system call whose arguments pass every check."""

    name: str
    action: int = ALLOW
    checks: tuple[Check, ...] = ()


UNCONDITIONAL = (
    *("munmap", "mremap", "brk", "madvise", "exit_group", "exit", "rt_sigreturn"),
    *("futex", "clock_gettime", "gettimeofday", "getrandom"),
)
CONDITIONAL: tuple[tuple[str, tuple[Check, ...]], ...] = (
    ("read", (Check(0, "equal", 0),)),
    ("write", (Check(0, "equal", 1),)),
    ("mmap", (Check(2, "no bit", PROT_EXEC), Check(3, "any bit", MAP_ANONYMOUS))),
    ("mprotect", (Check(2, "no bit", PROT_EXEC),)),
)


def available() -> bool:
    """Whether this kernel has seccomp (0: not in use, 2: a filter is already there)."""
    return LIBC.prctl(PR_GET_SECCOMP, 0, 0, 0, 0) in (0, 2)


def program(machine: Machine) -> bytes:
    """Assemble the filter of a Lua worker."""
    rules = [Rule(name, checks=checks) for name, checks in CONDITIONAL]
    return assemble(machine, [*rules, *map(Rule, UNCONDITIONAL)], otherwise=KILL_PROCESS)


def assemble(machine: Machine, rules: Iterable[Rule], *, otherwise: int) -> bytes:
    """Assemble a filter. The architecture and the x32 bit are checked before any number."""
    code: list[Instruction] = [
        (LOAD, 0, 0, ARCH_OFFSET),
        (JUMP_EQUAL, 1, 0, machine.audit),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, NUMBER_OFFSET),
    ]
    if machine.has_x32:
        code += [(JUMP_AT_LEAST, 0, 1, X32_BIT), (RETURN, 0, 0, KILL_PROCESS)]
    for rule in rules:
        body = _body(rule)
        # A body returns, or it loads the number again and leaves the call to a later rule;
        # so the accumulator always holds the number when the next rule compares.
        code += [(JUMP_EQUAL, 0, len(body), machine.numbers[rule.name]), *body]
    code.append((RETURN, 0, 0, otherwise))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def _body(rule: Rule) -> list[Instruction]:
    body: list[Instruction] = []
    checks = rule.checks
    for n, check in enumerate(checks):
        # After this comparison: two instructions for each later check, then the action.
        to_miss = 2 * (len(checks) - n - 1) + 1
        body.append((LOAD, 0, 0, 16 + 8 * check.argument + 4 * check.high))
        if check.test == "equal":
            body.append((JUMP_EQUAL, 0, to_miss, check.value))
        elif check.test == "any bit":
            body.append((JUMP_BITS, 0, to_miss, check.value))
        else:
            body.append((JUMP_BITS, to_miss, 0, check.value))
    body.append((RETURN, 0, 0, rule.action))
    if checks:
        body.append((LOAD, 0, 0, NUMBER_OFFSET))
    return body


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def install(machine: Machine, code: bytes, *, every_thread: bool = False) -> None:
    """Apply an assembled filter to this thread and all it starts, for ever. Needs no_new_privs.

    `every_thread` means those that run already, too.
    """
    buffer = ctypes.create_string_buffer(code, len(code))
    filter_program = _Program(len(code) // 8, ctypes.addressof(buffer))
    number = machine.numbers["seccomp"]
    flags = SECCOMP_FILTER_FLAG_TSYNC if every_thread else 0
    if LIBC.syscall(number, SECCOMP_SET_MODE_FILTER, flags, ctypes.byref(filter_program)) != 0:
        raise fail("seccomp")
