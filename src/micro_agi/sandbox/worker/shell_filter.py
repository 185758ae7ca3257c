"""Build the system call filter of a shell: what ordinary programs use, and no more.

Programs fork, execute, write files and talk through pipes; which files, the root of their
own decides, and what they may reach is nothing, because the network is an empty one. What is
not in the list does not exist for them: most programs then do without.

Source: spec/sandbox.md 7 (traps 6 and 10); the kernel's tables.
"""

import errno
import platform
from collections.abc import Mapping

from micro_agi.sandbox.worker.python_filter import REFUSE
from micro_agi.sandbox.worker.seccomp import Check, Rule, assemble
from micro_agi.sandbox.worker.syscalls import Machine

# Everything a program may call; where aarch64 has no number, the call does not exist there.
X86_64: Mapping[str, int] = {
    **{"read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6},
    **{"poll": 7, "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12},
    **{"rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "pread64": 17},
    **{"pwrite64": 18, "readv": 19, "writev": 20, "preadv": 295, "pwritev": 296, "preadv2": 327},
    **{"pwritev2": 328, "access": 21, "pipe": 22, "select": 23, "sched_yield": 24, "mremap": 25},
    **{"msync": 26, "mincore": 27, "madvise": 28, "dup": 32, "dup2": 33, "pause": 34},
    **{"nanosleep": 35, "getitimer": 36, "alarm": 37, "setitimer": 38, "getpid": 39},
    **{"sendfile": 40, "connect": 42, "accept": 43, "sendto": 44, "recvfrom": 45, "sendmsg": 46},
    **{"recvmsg": 47, "shutdown": 48, "bind": 49, "listen": 50, "getsockname": 51},
    **{"getpeername": 52, "setsockopt": 54, "getsockopt": 55, "fork": 57, "vfork": 58},
    **{"execve": 59, "exit": 60, "wait4": 61, "kill": 62, "uname": 63, "flock": 73, "fsync": 74},
    **{"fdatasync": 75, "truncate": 76, "ftruncate": 77, "getdents": 78, "getcwd": 79},
    **{"chdir": 80, "fchdir": 81, "rename": 82, "mkdir": 83, "rmdir": 84, "creat": 85},
    **{"link": 86, "unlink": 87, "symlink": 88, "readlink": 89, "chmod": 90, "fchmod": 91},
    **{"chown": 92, "fchown": 93, "lchown": 94, "umask": 95, "gettimeofday": 96, "getrlimit": 97},
    **{"getrusage": 98, "sysinfo": 99, "times": 100, "getuid": 102, "getgid": 104, "setuid": 105},
    **{"setgid": 106, "geteuid": 107, "getegid": 108, "setpgid": 109, "getppid": 110},
    **{"getpgrp": 111, "setsid": 112, "setreuid": 113, "setregid": 114, "getgroups": 115},
    **{"setresuid": 117, "getresuid": 118, "setresgid": 119, "getresgid": 120, "getpgid": 121},
    **{"getsid": 124, "capget": 125, "rt_sigpending": 127, "rt_sigtimedwait": 128},
    **{"rt_sigsuspend": 130, "sigaltstack": 131, "utime": 132, "mknod": 133, "statfs": 137},
    **{"fstatfs": 138, "getpriority": 140, "setpriority": 141, "sched_getparam": 143},
    **{"sched_getscheduler": 145, "sched_get_priority_max": 146, "sched_get_priority_min": 147},
    **{"prctl": 157, "arch_prctl": 158, "setrlimit": 160, "gettid": 186, "readahead": 187},
    **{"getxattr": 191, "lgetxattr": 192, "fgetxattr": 193, "listxattr": 194, "llistxattr": 195},
    **{"flistxattr": 196, "tkill": 200, "time": 201, "futex": 202, "sched_getaffinity": 204},
    **{"sched_setaffinity": 203, "epoll_create": 213, "getdents64": 217, "set_tid_address": 218},
    **{"fadvise64": 221, "timer_create": 222, "timer_settime": 223, "timer_gettime": 224},
    **{"timer_getoverrun": 225, "timer_delete": 226, "clock_gettime": 228, "clock_getres": 229},
    **{"clock_nanosleep": 230, "exit_group": 231, "epoll_wait": 232, "epoll_ctl": 233},
    **{"tgkill": 234, "utimes": 235, "waitid": 247, "inotify_init": 253},
    **{"inotify_add_watch": 254, "inotify_rm_watch": 255, "openat": 257, "mkdirat": 258},
    **{"mknodat": 259, "fchownat": 260, "futimesat": 261, "newfstatat": 262, "unlinkat": 263},
    **{"renameat": 264, "linkat": 265, "symlinkat": 266, "readlinkat": 267, "fchmodat": 268},
    **{"faccessat": 269, "pselect6": 270, "ppoll": 271, "set_robust_list": 273},
    **{"get_robust_list": 274, "splice": 275, "tee": 276, "sync_file_range": 277},
    **{"utimensat": 280, "epoll_pwait": 281, "timerfd_create": 283, "timerfd_settime": 286},
    **{"timerfd_gettime": 287, "eventfd": 284, "signalfd": 282, "fallocate": 285, "accept4": 288},
    **{"signalfd4": 289, "eventfd2": 290, "epoll_create1": 291, "dup3": 292, "pipe2": 293},
    **{"inotify_init1": 294, "prlimit64": 302, "getcpu": 309, "renameat2": 316, "getrandom": 318},
    **{"memfd_create": 319, "membarrier": 324, "copy_file_range": 326, "statx": 332, "rseq": 334},
    **{"close_range": 436, "faccessat2": 439, "epoll_pwait2": 441, "socket": 41},
    **{"socketpair": 53, "clone": 56, "fcntl": 72, "ioctl": 16},
}
AARCH64: Mapping[str, int] = {
    **{"read": 63, "write": 64, "close": 57, "fstat": 80, "lseek": 62, "mmap": 222},
    **{"mprotect": 226, "munmap": 215, "brk": 214, "rt_sigaction": 134, "rt_sigprocmask": 135},
    **{"rt_sigreturn": 139, "pread64": 67, "pwrite64": 68, "readv": 65, "writev": 66},
    **{"preadv": 69, "pwritev": 70, "preadv2": 286, "pwritev2": 287, "sched_yield": 124},
    **{"mremap": 216, "msync": 227, "mincore": 232, "madvise": 233, "dup": 23, "nanosleep": 101},
    **{"getitimer": 102, "setitimer": 103, "getpid": 172, "sendfile": 71, "connect": 203},
    **{"accept": 202, "sendto": 206, "recvfrom": 207, "sendmsg": 211, "recvmsg": 212},
    **{"shutdown": 210, "bind": 200, "listen": 201, "getsockname": 204, "getpeername": 205},
    **{"setsockopt": 208, "getsockopt": 209, "execve": 221, "exit": 93, "wait4": 260},
    **{"kill": 129, "uname": 160, "flock": 32, "fsync": 82, "fdatasync": 83, "truncate": 45},
    **{"ftruncate": 46, "getcwd": 17, "chdir": 49, "fchdir": 50, "fchmod": 52, "fchown": 55},
    **{"umask": 166, "gettimeofday": 169, "getrlimit": 163, "getrusage": 165, "sysinfo": 179},
    **{"times": 153, "getuid": 174, "getgid": 176, "setuid": 146, "setgid": 144, "geteuid": 175},
    **{"getegid": 177, "setpgid": 154, "getppid": 173, "setsid": 157, "setreuid": 145},
    **{"setregid": 143, "getgroups": 158, "setresuid": 147, "getresuid": 148, "setresgid": 149},
    **{"getresgid": 150, "getpgid": 155, "getsid": 156, "capget": 90, "rt_sigpending": 136},
    **{"rt_sigtimedwait": 137, "rt_sigsuspend": 133, "sigaltstack": 132, "statfs": 43},
    **{"fstatfs": 44, "getpriority": 141, "setpriority": 140, "sched_getparam": 121},
    **{"sched_getscheduler": 120, "sched_get_priority_max": 125, "sched_get_priority_min": 126},
    **{"prctl": 167, "setrlimit": 164, "gettid": 178, "readahead": 213, "getxattr": 8},
    **{"lgetxattr": 9, "fgetxattr": 10, "listxattr": 11, "llistxattr": 12, "flistxattr": 13},
    **{"tkill": 130, "futex": 98, "sched_getaffinity": 123, "sched_setaffinity": 122},
    **{"getdents64": 61, "set_tid_address": 96, "fadvise64": 223, "timer_create": 107},
    **{"timer_settime": 110, "timer_gettime": 108, "timer_getoverrun": 109, "timer_delete": 111},
    **{"clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115, "exit_group": 94},
    **{"epoll_ctl": 21, "tgkill": 131, "waitid": 95, "inotify_add_watch": 27},
    **{"inotify_rm_watch": 28, "openat": 56, "mkdirat": 34, "mknodat": 33, "fchownat": 54},
    **{"newfstatat": 79, "unlinkat": 35, "renameat": 38, "linkat": 37, "symlinkat": 36},
    **{"readlinkat": 78, "fchmodat": 53, "faccessat": 48, "pselect6": 72, "ppoll": 73},
    **{"set_robust_list": 99, "get_robust_list": 100, "splice": 76, "tee": 77},
    **{"sync_file_range": 84, "utimensat": 88, "epoll_pwait": 22, "timerfd_create": 85},
    **{"timerfd_settime": 86, "timerfd_gettime": 87, "fallocate": 47, "accept4": 242},
    **{"signalfd4": 74, "eventfd2": 19, "epoll_create1": 20, "dup3": 24, "pipe2": 59},
    **{"inotify_init1": 26, "prlimit64": 261, "getcpu": 168, "renameat2": 276, "getrandom": 278},
    **{"memfd_create": 279, "membarrier": 283, "copy_file_range": 285, "statx": 291, "rseq": 293},
    **{"close_range": 436, "faccessat2": 439, "epoll_pwait2": 441, "socket": 198},
    **{"socketpair": 199, "clone": 220, "fcntl": 25, "ioctl": 29},
}
MERGED: Mapping[str, int] = {"fchmodat2": 452, "clone3": 435}
TABLES = {"x86_64": X86_64, "aarch64": AARCH64}

CONDITIONAL = frozenset({"socket", "socketpair", "clone", "ioctl"})
UNIX_SOCKETS = Check(0, "equal", 1)
TCP = tuple(
    (Check(0, "equal", 2), Check(1, "no bit", 6), Check(2, "equal", protocol))
    for protocol in (0, 6)
)
"""IPv4, a stream, its usual protocol or TCP: others have the kernel load code for them."""
NEW_NAMESPACES = Check(0, "no bit", 0x7E020000)
"""New namespaces would give a guest capabilities again, in there."""
TYPING_INTO_A_TERMINAL = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX put words into the mouth of whoever sits at the terminal."""


def program(machine: Machine, *, network: bool = False) -> bytes:
    """Assemble the filter; with `network`, TCP sockets can be made."""
    own = {**TABLES.get(platform.machine(), {}), **MERGED}
    machine = machine._replace(numbers={**machine.numbers, **own})
    rules = [
        *(Rule(name) for name in own if name not in CONDITIONAL | {"clone3"}),
        Rule("socket", checks=(UNIX_SOCKETS,)),
        *(Rule("socket", checks=checks) for checks in (TCP if network else ())),
        Rule("socketpair", checks=(UNIX_SOCKETS,)),
        Rule("clone", checks=(NEW_NAMESPACES,)),
        *(
            Rule("ioctl", REFUSE | errno.EPERM, (Check(1, "equal", number),))
            for number in TYPING_INTO_A_TERMINAL
        ),
        Rule("ioctl"),
        # Its flags are behind a pointer, which a filter cannot follow; callers fall back.
        Rule("clone3", REFUSE | errno.ENOSYS),
        *(Rule(name, REFUSE | errno.EPERM) for name in ("socket", "socketpair", "clone")),
    ]
    known = [rule for rule in rules if rule.name in machine.numbers]
    return assemble(machine, known, otherwise=REFUSE | errno.ENOSYS)
