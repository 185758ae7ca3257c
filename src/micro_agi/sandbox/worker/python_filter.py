"""Build the system call filter of a Python worker: refuse by default, kill for an attack.

CPython opens its library files and a tool may use its workspace, so more is allowed than to
Lua, and paths are Landlock's and the minimal root's concern. Refusals are errors, because
honest code meets them by accident and can say so; what only an attack does kills the worker.

Source: spec/sandbox.md 6 "seccomp default action", 7 (traps 6 and 10); the kernel's tables.
"""

import errno
import platform
from collections.abc import Mapping, Sequence

from micro_agi.sandbox.worker.seccomp import KILL_PROCESS, Check, Rule, assemble
from micro_agi.sandbox.worker.syscalls import Machine

REFUSE = 0x00050000
"""With an error number in the low half: the call fails with it."""

# Where aarch64 has no number, the call does not exist there.
X86_64: Mapping[str, int] = {
    **{"open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8},
    **{"rt_sigaction": 13, "rt_sigprocmask": 14, "ioctl": 16, "pread64": 17, "pwrite64": 18},
    **{"readv": 19, "writev": 20, "access": 21, "select": 23, "sched_yield": 24, "msync": 26},
    **{"dup": 32, "dup2": 33, "nanosleep": 35, "getitimer": 36, "alarm": 37, "setitimer": 38},
    **{"getpid": 39, "uname": 63, "fcntl": 72, "flock": 73, "fsync": 74, "fdatasync": 75},
    **{"truncate": 76, "ftruncate": 77, "getcwd": 79, "chdir": 80, "fchdir": 81, "rename": 82},
    **{"mkdir": 83, "rmdir": 84, "unlink": 87, "readlink": 89, "umask": 95, "getrusage": 98},
    **{"sysinfo": 99, "times": 100, "ptrace": 101, "getuid": 102, "getgid": 104, "geteuid": 107},
    **{"getegid": 108, "sigaltstack": 131, "statfs": 137, "fstatfs": 138, "mount": 165},
    **{"umount2": 166, "gettid": 186, "time": 201, "sched_getaffinity": 204, "getdents64": 217},
    **{"fadvise64": 221, "clock_getres": 229, "clock_nanosleep": 230, "add_key": 248},
    **{"request_key": 249, "keyctl": 250, "openat": 257, "mkdirat": 258, "newfstatat": 262},
    **{"unlinkat": 263, "renameat": 264, "readlinkat": 267, "faccessat": 269, "pselect6": 270},
    **{"ppoll": 271, "unshare": 272, "fallocate": 285, "dup3": 292, "perf_event_open": 298},
    **{"prlimit64": 302, "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310},
    **{"process_vm_writev": 311, "kexec_load": 246, "init_module": 175, "finit_module": 313},
    **{"renameat2": 316, "bpf": 321, "userfaultfd": 323, "copy_file_range": 326},
    **{"personality": 135, "modify_ldt": 154, "iopl": 172, "ioperm": 173, "move_pages": 279},
}
AARCH64: Mapping[str, int] = {
    **{"getcwd": 17, "dup": 23, "dup3": 24, "fcntl": 25, "ioctl": 29, "flock": 32},
    **{"mkdirat": 34, "unlinkat": 35, "renameat": 38, "umount2": 39, "mount": 40, "statfs": 43},
    **{"fstatfs": 44, "truncate": 45, "ftruncate": 46, "fallocate": 47, "faccessat": 48},
    **{"chdir": 49, "fchdir": 50, "openat": 56, "close": 57, "getdents64": 61, "lseek": 62},
    **{"readv": 65, "writev": 66, "pread64": 67, "pwrite64": 68, "pselect6": 72, "ppoll": 73},
    **{"readlinkat": 78, "newfstatat": 79, "fstat": 80, "fsync": 82, "fdatasync": 83},
    **{"personality": 92, "unshare": 97, "nanosleep": 101, "getitimer": 102, "setitimer": 103},
    **{"kexec_load": 104, "init_module": 105, "clock_getres": 114, "clock_nanosleep": 115},
    **{"ptrace": 117, "sched_getaffinity": 123, "sched_yield": 124, "sigaltstack": 132},
    **{"rt_sigaction": 134, "rt_sigprocmask": 135, "times": 153, "uname": 160, "getrusage": 165},
    **{"umask": 166, "getpid": 172, "getuid": 174, "geteuid": 175, "getgid": 176, "getegid": 177},
    **{"gettid": 178, "sysinfo": 179, "add_key": 217, "request_key": 218, "keyctl": 219},
    **{"fadvise64": 223, "msync": 227, "move_pages": 239, "perf_event_open": 241},
    **{"prlimit64": 261, "open_by_handle_at": 265, "setns": 268, "process_vm_readv": 270},
    **{"process_vm_writev": 271, "finit_module": 273, "renameat2": 276, "bpf": 280},
    **{"userfaultfd": 282, "copy_file_range": 285},
}
# The same on every machine: the tables were merged from number 424 on.
MERGED: Mapping[str, int] = {
    **{"pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426},
    **{"io_uring_register": 427, "clone3": 435, "openat2": 437, "pidfd_getfd": 438},
    **{"faccessat2": 439, "process_madvise": 440},
}
TABLES = {"x86_64": X86_64, "aarch64": AARCH64}

MEMORY = (
    *("mmap", "mprotect", "munmap", "mremap", "brk", "madvise", "msync", "futex"),
    *("exit", "exit_group", "getrandom", "sched_yield", "sched_getaffinity"),
)
FILES = (
    *("read", "write", "close", "fstat", "lseek", "pread64", "pwrite64", "readv", "writev"),
    *("openat", "open", "newfstatat", "stat", "lstat", "getdents64", "readlink", "readlinkat"),
    *("access", "faccessat", "faccessat2", "getcwd", "chdir", "fchdir", "mkdir", "mkdirat"),
    *("rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "truncate", "ftruncate"),
    *("fsync", "fdatasync", "dup", "dup2", "dup3", "umask", "flock", "fadvise64", "statfs"),
    *("fstatfs", "copy_file_range", "fallocate"),
)
TIME_AND_SELF = (
    *("poll", "ppoll", "select", "pselect6", "nanosleep", "clock_nanosleep", "clock_gettime"),
    *("clock_getres", "gettimeofday", "time", "times", "getrusage", "getpid", "gettid"),
    *("getuid", "geteuid", "getgid", "getegid", "uname", "sysinfo", "rt_sigaction"),
    *("rt_sigprocmask", "rt_sigreturn", "sigaltstack", "getitimer", "setitimer", "alarm"),
)
ATTACKS = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "bpf", "perf_event_open"),
    *("userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "keyctl"),
    *("add_key", "request_key", "mount", "umount2", "pivot_root", "unshare", "setns"),
    *("open_by_handle_at", "pidfd_getfd", "pidfd_send_signal", "process_madvise", "seccomp"),
    *("kexec_load", "init_module", "finit_module", "modify_ldt", "iopl", "ioperm", "move_pages"),
)
# These pass pointers that a filter cannot follow; callers fall back to what it can judge.
UNKNOWN_HERE = ("clone3", "openat2")

# F_DUPFD, F_GETFD, F_SETFD, F_GETFL: nothing about owners, leases or locks.
PLAIN_FCNTL = Check(1, "no bit", 0xFFFFFFFC)
F_DUPFD_CLOEXEC = Check(1, "equal", 1030)
# Of this process, and reading: the pointer to new values is null in both halves.
READ_OWN_LIMITS = (
    *(Check(0, "equal", 0), Check(0, "equal", 0, high=True)),
    *(Check(2, "equal", 0), Check(2, "equal", 0, high=True)),
)


def numbers() -> Mapping[str, int]:
    """Return the system call numbers of the running machine that only Python needs."""
    return {**TABLES.get(platform.machine(), {}), **MERGED}


def program(
    machine: Machine, more: Sequence[Rule] = (), table: Mapping[str, int] | None = None
) -> bytes:
    """Assemble the filter; `more` rules come first, with the numbers of `table`."""
    machine = machine._replace(numbers={**(table or {}), **machine.numbers, **numbers()})
    rules = [
        *more,
        *(Rule(name) for name in (*MEMORY, *FILES, *TIME_AND_SELF)),
        Rule("fcntl", checks=(PLAIN_FCNTL,)),
        Rule("fcntl", checks=(F_DUPFD_CLOEXEC,)),
        Rule("prlimit64", checks=READ_OWN_LIMITS),
        Rule("ioctl", REFUSE | errno.ENOTTY),
        *(Rule(name, REFUSE | errno.ENOSYS) for name in UNKNOWN_HERE),
        *(Rule(name, KILL_PROCESS) for name in ATTACKS),
    ]
    known = [rule for rule in rules if rule.name in machine.numbers]
    return assemble(machine, known, otherwise=REFUSE | errno.EPERM)
