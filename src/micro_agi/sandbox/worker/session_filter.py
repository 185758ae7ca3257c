"""Build the system call filter of a Python session: a tool's, and what work on real files needs.

Locks of files (SQLite takes them), their modes and times (`shutil.copy` sets them), and threads,
which some libraries start while they are imported (matplotlib does). Still no process and no
program: a command that a person has to be asked about must not be a line of Python.

Source: spec/sandbox.md 6 (REPL column); decision 0047.
"""

import platform

from micro_agi.sandbox.worker import python_filter, shell_filter
from micro_agi.sandbox.worker.seccomp import Check, Rule
from micro_agi.sandbox.worker.syscalls import Machine

A_THREAD = Check(0, "any bit", 0x10000)
"""CLONE_THREAD: the kernel wants it with the memory, the files and the signals shared."""
NO_SETUID = 0o6000
F_GETLK, F_SETLK, F_SETLKW = 5, 6, 7

MORE = (
    *(Rule(name) for name in ("utimensat", "utime", "utimes", "futimesat", "statx", "getcpu")),
    *(Rule(name) for name in ("set_robust_list", "rseq", "preadv", "pwritev", "getrlimit")),
    *(Rule(name) for name in ("getxattr", "lgetxattr", "fgetxattr")),
    *(Rule(name) for name in ("listxattr", "llistxattr", "flistxattr")),
    Rule("clone", checks=(A_THREAD, shell_filter.NEW_NAMESPACES)),
    Rule("chmod", checks=(Check(1, "no bit", NO_SETUID),)),
    Rule("fchmod", checks=(Check(1, "no bit", NO_SETUID),)),
    Rule("fchmodat", checks=(Check(2, "no bit", NO_SETUID),)),
    *(Rule("fcntl", checks=(Check(1, "equal", lock),)) for lock in (F_GETLK, F_SETLK, F_SETLKW)),
)


def program(machine: Machine) -> bytes:
    """Assemble the filter."""
    table = shell_filter.TABLES.get(platform.machine(), {})
    known = {**table, **machine.numbers, **python_filter.numbers()}
    return python_filter.program(machine, [r for r in MORE if r.name in known], table)
