"""Move the zygote into empty namespaces: no other process, network, or file to see.

Done once per zygote; its workers inherit it. Often refused in containers and on systems
that restrict user namespaces: then the other layers carry the sandbox (level B).

Source: spec/sandbox.md 2.2; the empty root is a read-only tmpfs without one file.
"""

import errno
import os

from micro_agi.sandbox.worker.syscalls import LIBC, Machine, fail

NEW_MOUNTS = 0x20000
NEW_UTS = 0x4000000
NEW_IPC = 0x8000000
NEW_USER = 0x10000000
NEW_PIDS = 0x20000000
NEW_NETWORK = 0x40000000

READ_ONLY, NO_SETUID, NO_DEVICES, NO_EXEC, REMOUNT = 1, 2, 4, 8, 32
RECURSIVE, PRIVATE = 1 << 14, 1 << 18
DETACH = 2
INERT = NO_SETUID | NO_DEVICES | NO_EXEC


def unshare(*, as_root: bool = True) -> tuple[bool, str]:
    """Enter new namespaces; return whether we are in them, and what the kernel refused.

    Once inside, the next fork becomes process 1 of the new process namespace. The user is
    called root in there, or by its own number.
    """
    user, group = os.getuid(), os.getgid()
    inner_user, inner_group = (0, 0) if as_root else (user, group)
    flags = NEW_USER | NEW_MOUNTS | NEW_UTS | NEW_IPC | NEW_PIDS | NEW_NETWORK
    if LIBC.unshare(flags) != 0:
        return False, str(fail("unshare"))
    try:
        _tell_kernel("setgroups", "deny")
        _tell_kernel("uid_map", f"{inner_user} {user} 1")
        _tell_kernel("gid_map", f"{inner_group} {group} 1")
    except OSError as error:
        return True, f"identity map: {errno.errorcode.get(error.errno or 0, 'refused')}"
    return True, ""


def _tell_kernel(name: str, text: str) -> None:
    with open(f"/proc/self/{name}", "w") as file:
        file.write(text)


def enter_empty_root(machine: Machine) -> None:
    """Replace `/` by an empty read-only tmpfs. Open file descriptors stay usable."""
    mount(None, b"/", None, RECURSIVE | PRIVATE)
    # Any directory that exists will do as the place for the new root.
    place = b"/tmp" if os.path.isdir("/tmp") else b"/dev"  # noqa: S108 - only a mount point
    mount(b"none", place, b"tmpfs", INERT, b"size=4k,nr_inodes=4,mode=0555")
    os.chdir(place)
    if LIBC.syscall(machine.numbers["pivot_root"], b".", b".") != 0:
        raise fail("pivot_root")
    if LIBC.umount2(b".", DETACH) != 0:
        raise fail("umount2")
    os.chdir("/")
    mount(b"none", b"/", None, REMOUNT | READ_ONLY | INERT)


def mount(
    source: bytes | None, target: bytes, kind: bytes | None, flags: int, data: bytes | None = None
) -> None:
    """Mount a file system, or change how one is mounted; raise when the kernel refuses."""
    if LIBC.mount(source, target, kind, flags, data) != 0:
        raise fail("mount")
