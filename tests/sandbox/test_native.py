"""If the interpreter is fully broken: every forbidden system call kills the locked process.

Each attack runs in a process of its own that applies the worker's lock and then makes one
raw call. Source: spec/sandbox.md 2.3 (b).
"""

import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import micro_agi

SRC = str(Path(micro_agi.__file__).parent.parent)

PROGRAM = """
import ctypes, os, sys
sys.path.insert(0, {src!r})
from micro_agi.sandbox.worker import landlock, seccomp
from micro_agi.sandbox.worker.lockdown import Lock, lock
from micro_agi.sandbox.worker.syscalls import LIBC, this_machine
machine = this_machine()
buffer = ctypes.create_string_buffer(256)
LIBC.syscall(39)
child = os.fork()
if child:
    _, status = os.waitpid(child, 0)
    os._exit(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 200 + os.WEXITSTATUS(status))
lock(Lock(machine=machine, filter_code=seccomp.program(machine),
    landlock_abi={abi}, address_bytes=1 << 30, cpu_s=2, zygote=os.getppid()))
result = LIBC.syscall({call})
os._exit(0 if result >= 0 or {call!r}.startswith("231") else 1)
"""

FORBIDDEN = {
    **{"open": "2, b'/etc/passwd', 0", "openat": "257, -100, b'/etc/passwd', 0"},
    **{"stat": "4, b'/', buffer", "socket": "41, 2, 1, 0", "sendmsg": "46, 1, buffer, 0"},
    **{"clone": "56, 17, 0, 0, 0, 0", "fork": "57", "vfork": "58", "clone3": "435, buffer, 88"},
    **{"execve": "59, b'/bin/sh', 0, 0", "kill": "62, 1, 9", "ptrace": "101, 0, 0, 0, 0"},
    **{"mmap executable": "9, 0, 4096, 7, 34, -1, 0", "mmap a file": "9, 0, 4096, 1, 2, 0, 0"},
    **{"mprotect executable": "10, 0, 4096, 4", "read another fd": "0, 2, buffer, 1"},
    **{"write another fd": "1, 2, buffer, 1", "io_uring": "425, 1, buffer", "dup": "32, 0"},
    **{"userfaultfd": "323, 0", "memfd": "319, b'x', 0", "bpf": "321, 0, buffer, 8"},
    **{"prctl": "157, 4, 1, 0, 0", "seccomp": "317, 0, 0, 0", "setrlimit": "160, 7, buffer"},
    **{"prlimit": "302, 0, 7, buffer, 0", "unshare": "272, 0x10000000", "getpid": "39"},
    **{"x32 getpid": "0x40000027", "mount": "165, 0, b'/', 0, 0, 0", "chmod": "90, b'/', 0"},
    **{"setns": "308, 0, 0", "keyctl": "250, 0, 0", "process_vm_readv": "310, 1, 0, 0, 0, 0, 0"},
    **{"pidfd_open": "434, 1, 0", "rt_sigaction": "13, 10, 0, 0, 8", "nanosleep": "35, buffer, 0"},
    **{"perf_event_open": "298, buffer, 0, -1, -1, 0", "ioctl": "16, 0, 0x5412, buffer"},
}
PERMITTED = {
    **{"anonymous memory": "9, 0, 4096, 3, 34, -1, 0", "clock": "228, 0, buffer"},
    **{"random": "318, buffer, 8, 0", "exit": "231, 0"},
}


def outcome(call, abi="landlock.version()"):
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", PROGRAM.format(src=SRC, call=call, abi=abi)],
        timeout=20,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return done.returncode


only_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers are x86-64's")


@only_x86
@pytest.mark.parametrize("name", sorted(FORBIDDEN))
def test_a_forbidden_call_kills_the_process(name):
    assert outcome(FORBIDDEN[name]) == signal.SIGSYS


@only_x86
@pytest.mark.parametrize("name", ["socket", "openat", "clone", "kill"])
def test_it_does_so_without_landlock_too(name):
    assert outcome(FORBIDDEN[name], abi="0") == signal.SIGSYS


@only_x86
@pytest.mark.parametrize("name", sorted(PERMITTED))
def test_what_the_interpreter_needs_still_works(name):
    assert outcome(PERMITTED[name]) == 200
