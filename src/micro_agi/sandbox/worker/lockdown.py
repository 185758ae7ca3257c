"""Lock a freshly forked worker, in the only order that works; any failure is fatal to it.

Namespaces are the zygote's (`namespaces.py`). Here: resource limits, privileges, Landlock,
and last the system call filter, after which nothing below can be repeated or undone.

Source: spec/sandbox.md 2.2, 6 "Defaults", 7 (traps 7 and 8).
"""

import os
import resource
import signal
import struct
from typing import NamedTuple

from micro_agi.sandbox.worker import landlock, seccomp
from micro_agi.sandbox.worker.syscalls import (
    LIBC,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    Machine,
    prctl,
)

NOBODY = 65534
CAPABILITY_VERSION_3 = 0x20080522
# Zero of everything a guest could pile up. Not enforced for root, hence the filter too.
ZERO_LIMITS = (
    resource.RLIMIT_CORE,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NPROC,
    resource.RLIMIT_MEMLOCK,
    resource.RLIMIT_MSGQUEUE,
)


class Lock(NamedTuple):
    """What the zygote found out once and every worker applies."""

    machine: Machine
    filter_code: bytes
    """Assembled system call filter; building it takes longer than installing it."""
    landlock_abi: int
    """0: the kernel has no Landlock, or it is left out."""
    address_bytes: int
    """Of the whole process: the zygote's size, the Lua heap and slack."""
    cpu_s: int
    """Backstop against a worker whose parent forgot it."""
    zygote: int
    """Process id, to notice that the zygote died before the death signal was set."""


def lock(plan: Lock) -> None:
    """Give up everything but fd 0, fd 1 and memory."""
    for kind in ZERO_LIMITS:
        resource.setrlimit(kind, (0, 0))
    _become_nobody()
    seal(plan.machine, plan.zygote)
    if plan.landlock_abi:
        landlock.deny_everything(plan.landlock_abi)
    resource.setrlimit(resource.RLIMIT_AS, (plan.address_bytes, plan.address_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (plan.cpu_s, plan.cpu_s))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    seccomp.install(plan.machine, plan.filter_code)


def seal(machine: Machine, zygote: int) -> None:
    """Give up privileges for ever; die with the zygote. Call it after any change of user."""
    prctl(PR_SET_DUMPABLE, 0)
    _drop_capabilities(machine)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != zygote:
        os._exit(1)
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def _become_nobody() -> None:
    """Become nobody where root can.

    In a user namespace there is no nobody to become: the one mapped user has no power
    outside, and loses its capabilities inside here.
    """
    if os.geteuid() == 0:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        except OSError:
            pass


def _drop_capabilities(machine: Machine) -> None:
    header = struct.pack("<Ii", CAPABILITY_VERSION_3, 0)
    if LIBC.syscall(machine.numbers["capset"], header, bytes(24)) != 0:
        raise OSError("capabilities could not be dropped")
