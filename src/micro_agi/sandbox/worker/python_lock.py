"""Lock a freshly forked Python worker; any failure is fatal to it.

Beside what Lua's lock does, a worker may read its libraries and, where it has a root of its
own, work in a private workspace. It keeps its user, because Python may be installed where
only that user can read; it loses every capability.

Source: spec/sandbox.md 6 "Defaults", 7 (trap 8).
"""

import resource
from dataclasses import dataclass

from micro_agi.sandbox.worker import landlock, minimal_root, seccomp
from micro_agi.sandbox.worker.lockdown import seal
from micro_agi.sandbox.worker.syscalls import Machine

CPU_S = 300
DESCRIPTORS = 64
ZERO_LIMITS = (
    resource.RLIMIT_CORE,
    resource.RLIMIT_NPROC,
    resource.RLIMIT_MEMLOCK,
    resource.RLIMIT_MSGQUEUE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonLock:
    """What the zygote found out once and every worker applies."""

    machine: Machine
    filter_code: bytes
    landlock_abi: int
    """0: the kernel has no Landlock, or it is left out."""
    address_bytes: int
    zygote: int
    readable: tuple[str, ...]
    """Directories of libraries, by the paths they have in the worker's root."""
    workspace_bytes: int
    """0: the worker has no root of its own, hence nothing it could write to."""
    workspace_files: int


def apply(lock: PythonLock) -> str:
    """Give up everything but the channel, memory and the workspace; return its path or ""."""
    workspace = minimal_root.WORKSPACE if lock.workspace_bytes else ""
    if workspace:
        minimal_root.own_workspace(size_bytes=lock.workspace_bytes, files=lock.workspace_files)
    for kind in ZERO_LIMITS:
        resource.setrlimit(kind, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (lock.workspace_bytes, lock.workspace_bytes))
    seal(lock.machine, lock.zygote)
    if lock.landlock_abi:
        writable = (workspace,) if workspace else ()
        landlock.restrict(lock.landlock_abi, readable=lock.readable, writable=writable)
    resource.setrlimit(resource.RLIMIT_AS, (lock.address_bytes, lock.address_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    seccomp.install(lock.machine, lock.filter_code)
    return workspace
