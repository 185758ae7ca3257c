"""Give Python workers a root that holds their libraries, read-only, and a workspace.

Nothing else exists there: not even a name, size or date of another file can be learnt. Each
worker gets a workspace of its own, a small file system in memory, so what it may write is
bounded by the kernel in bytes and in files, and gone with the worker.

Source: spec/sandbox.md 2.3 (c): the metadata leak and the missing quota, closed here.
"""

import os
from collections.abc import Sequence

from micro_agi.sandbox.worker.namespaces import (
    DETACH,
    NEW_MOUNTS,
    NO_DEVICES,
    NO_EXEC,
    NO_SETUID,
    PRIVATE,
    READ_ONLY,
    RECURSIVE,
    REMOUNT,
    mount,
)
from micro_agi.sandbox.worker.syscalls import LIBC, Machine, fail

BIND = 1 << 12
WORKSPACE = "/workspace"
PLACE = "/tmp"  # noqa: S108 - only where the new root is mounted while it is built

# Flags that a mount from outside has cannot be taken away in a user namespace.
KEPT = ((os.ST_NOSUID, NO_SETUID), (os.ST_NODEV, NO_DEVICES), (os.ST_NOEXEC, NO_EXEC))
ACCESS_TIMES = ((os.ST_NOATIME, 1 << 10), (os.ST_NODIRATIME, 1 << 11), (os.ST_RELATIME, 1 << 21))


def enter(machine: Machine, readable: Sequence[str]) -> None:
    """Replace `/` by one that holds `readable` at the same paths, and an empty workspace."""
    # Opened first: the new root covers whatever lies below the place it is built at.
    handles = [(os.open(path, os.O_PATH | os.O_CLOEXEC), path) for path in readable]
    mount(None, b"/", None, RECURSIVE | PRIVATE)
    mount(b"none", PLACE.encode(), b"tmpfs", NO_SETUID | NO_DEVICES, b"size=256k,mode=0755")
    for handle, path in handles:
        _show(handle, PLACE + path)
    os.mkdir(PLACE + WORKSPACE, 0o700)
    os.chdir(PLACE)
    if LIBC.syscall(machine.numbers["pivot_root"], b".", b".") != 0:
        raise fail("pivot_root")
    if LIBC.umount2(b".", DETACH) != 0:
        raise fail("umount2")
    os.chdir("/")
    mount(b"none", b"/", None, REMOUNT | READ_ONLY | NO_SETUID | NO_DEVICES)
    for handle, _ in handles:
        os.close(handle)


def _show(handle: int, target: str) -> None:
    source = f"/proc/self/fd/{handle}"
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o444))
    mount(source.encode(), target.encode(), None, BIND | RECURSIVE)
    has = os.statvfs(target).f_flag
    kept = sum(flag for bit, flag in (*KEPT, *ACCESS_TIMES) if has & bit)
    inert = kept | NO_SETUID | NO_DEVICES
    mount(None, target.encode(), None, BIND | REMOUNT | READ_ONLY | inert)


def own_workspace(*, size_bytes: int, files: int) -> None:
    """Mount an empty workspace that only this worker sees. The mount needs one inode itself."""
    if LIBC.unshare(NEW_MOUNTS) != 0:
        raise fail("unshare")
    limits = f"size={size_bytes},nr_inodes={files + 1},mode=0700"
    flags = NO_SETUID | NO_DEVICES | NO_EXEC
    mount(b"none", WORKSPACE.encode(), b"tmpfs", flags, limits.encode())
    os.chdir(WORKSPACE)
