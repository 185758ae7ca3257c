"""Give a shell a root of its own: the system's programs, read-only, and the workspace.

The workspace has the path it has outside, so that what was installed in it works; `/tmp` is a
small file system in memory. There is no home, no file of another user, no device but harmless
ones, and of what usually holds credentials in the workspace's own directory only an empty stand-in.
"""

import contextlib
import errno
import os
import platform
import re
from collections.abc import Sequence

from micro_agi.sandbox.worker.minimal_root import (
    ACCESS_TIMES,
    BIND,
    KEPT,
    PLACE,
)
from micro_agi.sandbox.worker.namespaces import (
    DETACH,
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

PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/nix/store")
SETTINGS = (
    *("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "timezone"),
    *("os-release", "debian_version", "ssl/certs", "ssl/openssl.cnf", "magic", "services"),
    *("protocols", "mime.types", "terminfo", "perl", "python3", "java-17-openjdk", "fonts"),
)
"""Below `/etc`: what programs read, and nothing about users, hosts or keys."""
DEVICES = ("null", "zero", "full", "random", "urandom")
LINKS = (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"))
TEMPORARY_BYTES = 256 << 20
TEMPORARY_FILES = 20_000
MOST_PROCESSES = 512
EMPTY_FILE, EMPTY_DIRECTORY = "/.empty", "/.nothing"
TEMPORARY = "/tmp"  # noqa: S108 - one that nobody else has
HOME = f"{TEMPORARY}/home"
HIDDEN = (
    *(".env", ".env.local", ".env.production", ".netrc", ".npmrc", ".pypirc", ".pgpass"),
    *(".git-credentials", ".htpasswd", ".vault-token", "id_rsa", "id_ed25519", "id_ecdsa"),
    *(".ssh", ".aws", ".gnupg", ".kube", ".azure", ".docker"),
)
"""Looked for by name beside each other: the cost does not depend on what else there is."""


def enter(
    machine: Machine,
    workspace: str,
    *,
    libraries: Sequence[str] = (),
    protected: Sequence[str] = (),
) -> None:
    """Replace `/`; raise OSError for what the kernel refuses.

    `libraries` are further directories to read, at their own paths; `protected` are paths below
    the workspace that cannot be changed from in here.
    """
    programs = [path for path in PROGRAMS if os.path.isdir(path) and not os.path.islink(path)]
    links = [(path, os.readlink(path)) for path in PROGRAMS if os.path.islink(path)]
    settings = [f"/etc/{name}" for name in SETTINGS if os.path.exists(f"/etc/{name}")]
    # Opened first: the new root covers whatever lies below the place it is built at.
    readable = [(os.open(path, os.O_PATH | os.O_CLOEXEC), path) for path in (*programs, *settings)]
    devices = [
        (os.open(f"/dev/{name}", os.O_PATH | os.O_CLOEXEC), f"/dev/{name}") for name in DEVICES
    ]
    further = [
        (os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), path)
        for path in libraries
        if not any(_below(path, shown) for shown in programs)
    ]
    work = os.open(workspace, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    mount(None, b"/", None, RECURSIVE | PRIVATE)
    mount(b"none", PLACE.encode(), b"tmpfs", NO_SETUID | NO_DEVICES, b"size=1m,mode=0755")
    for handle, path in readable:
        _show(handle, PLACE + path, READ_ONLY | NO_SETUID | NO_DEVICES)
    for handle, path in devices:
        _show(handle, PLACE + path, NO_SETUID | NO_EXEC)
    _fill_etc()
    for name, target in LINKS:
        os.symlink(target, f"{PLACE}/dev/{name}")
    for path, target in links:
        os.symlink(target, PLACE + path)
    _mount_processes()
    limits = f"size={TEMPORARY_BYTES},nr_inodes={TEMPORARY_FILES},mode=1777"
    temporary = PLACE + TEMPORARY
    os.mkdir(temporary)
    mount(b"none", temporary.encode(), b"tmpfs", NO_SETUID | NO_DEVICES, limits.encode())
    os.mkdir(PLACE + HOME, 0o700)
    outside = [(handle, path) for handle, path in further if not _below(path, workspace)]
    for handle, path in outside:
        _show(handle, PLACE + path, READ_ONLY | NO_SETUID | NO_DEVICES)
    _show(work, PLACE + workspace, NO_SETUID | NO_DEVICES)
    # What this program itself is made of may lie in the workspace; nobody in here changes it.
    for handle, path in (each for each in further if each not in outside):
        _show(handle, PLACE + path, READ_ONLY | NO_SETUID | NO_DEVICES)
    _hide(work, workspace)
    _protect(workspace, protected)
    os.chdir(PLACE)
    if LIBC.syscall(machine.numbers["pivot_root"], b".", b".") != 0:
        raise fail("pivot_root")
    if LIBC.umount2(b".", DETACH) != 0:
        raise fail("umount2")
    os.chdir("/")
    mount(b"none", b"/", None, REMOUNT | READ_ONLY | NO_SETUID | NO_DEVICES)
    for handle, _ in (*readable, *devices, *further, (work, "")):
        os.close(handle)


def _below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _show(handle: int, target: str, flags: int) -> None:
    source = f"/proc/self/fd/{handle}"
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o444))
    mount(source.encode(), target.encode(), None, BIND | RECURSIVE)
    has = os.statvfs(target).f_flag
    kept = sum(flag for bit, flag in (*KEPT, *ACCESS_TIMES) if has & bit)
    mount(None, target.encode(), None, BIND | REMOUNT | kept | flags)


def _fill_etc() -> None:
    user, group = os.getuid(), os.getgid()
    os.makedirs(f"{PLACE}/etc", exist_ok=True)
    _write("/etc/passwd", f"agent:x:{user}:{group}:agent:{HOME}:/bin/sh\n")
    _write("/etc/group", f"agent:x:{group}:\n")
    _write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
    _write("/etc/hosts", "127.0.0.1 localhost\n")
    _write(EMPTY_FILE, "")
    os.mkdir(PLACE + EMPTY_DIRECTORY, 0o500)


def _write(path: str, text: str) -> None:
    handle = os.open(PLACE + path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o444)
    os.write(handle, text.encode())
    os.close(handle)


def _mount_processes() -> None:
    """Show the processes of this room alone. Without them nobody could count and weigh them."""
    os.mkdir(f"{PLACE}/proc")
    mount(b"proc", f"{PLACE}/proc".encode(), b"proc", NO_SETUID | NO_DEVICES | NO_EXEC)
    if _kernel() >= (6, 14):
        # A limit of this process namespace since then. Before, it was the machine's, and root
        # could have written it from in here.
        with contextlib.suppress(OSError), open(f"{PLACE}/proc/sys/kernel/pid_max", "w") as most:
            most.write(str(MOST_PROCESSES))
    flags = REMOUNT | BIND | READ_ONLY | NO_SETUID | NO_DEVICES | NO_EXEC
    mount(None, f"{PLACE}/proc".encode(), None, flags)


def _kernel() -> tuple[int, ...]:
    numbers = re.findall(r"\d+", platform.release())[:2]
    return tuple(int(number) for number in numbers)


def _hide(work: int, workspace: str) -> None:
    for name in HIDDEN:
        try:
            found = os.stat(name, dir_fd=work, follow_symlinks=False)
        except OSError:
            continue
        kind = found.st_mode & 0o170000
        cover = {0o100000: EMPTY_FILE, 0o040000: EMPTY_DIRECTORY}.get(kind)
        if cover is not None:
            _show_path(PLACE + cover, f"{PLACE}{workspace}/{name}")


def _protect(workspace: str, paths: Sequence[str]) -> None:
    """Make paths below the workspace read-only, and nothing above them can be renamed."""
    top = os.open(PLACE + workspace, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    fixed: set[tuple[str, ...]] = set()
    for path in paths:
        parts = tuple(path.split("/"))
        # A mount point cannot be renamed or removed in here; what it lies in could be.
        for depth in range(1, len(parts)):
            if parts[:depth] not in fixed:
                _cover(top, parts[:depth], 0)
                fixed.add(parts[:depth])
        _cover(top, parts, READ_ONLY)
    os.close(top)


def _cover(top: int, parts: Sequence[str], flags: int) -> None:
    """Mount a file or directory over itself, with more flags; raise if it is swapped meanwhile."""
    handle = _beneath(top, parts)
    if handle is None:
        return
    found = os.fstat(handle)
    if found.st_mode & 0o170000 in (0o100000, 0o040000):
        itself = f"/proc/self/fd/{handle}".encode()
        has = os.statvfs(itself).f_flag
        mount(itself, itself, None, BIND | RECURSIVE)
        mounted = _beneath(top, parts)
        if mounted is None or not os.path.samestat(os.fstat(mounted), found):
            raise OSError(errno.EAGAIN, f"`{'/'.join(parts)}` was swapped while it was protected")
        kept = sum(flag for bit, flag in (*KEPT, *ACCESS_TIMES) if has & bit)
        target = f"/proc/self/fd/{mounted}".encode()
        mount(None, target, None, BIND | REMOUNT | kept | flags | NO_SETUID | NO_DEVICES)
        os.close(mounted)
    os.close(handle)


def _beneath(top: int, parts: Sequence[str]) -> int | None:
    """Open a path component by component; None when it is not there, or a link is in it."""
    at = os.dup(top)
    for name in parts:
        try:
            below = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
        except (FileNotFoundError, NotADirectoryError):
            return None
        finally:
            os.close(at)
        at = below
    return at


def _show_path(source: str, target: str) -> None:
    mount(source.encode(), target.encode(), None, BIND)
    mount(None, target.encode(), None, BIND | REMOUNT | READ_ONLY | NO_SETUID | NO_DEVICES)


def workable(workspace: str) -> tuple[str, ...]:
    """Return where Landlock lets a shell work; all of its root it may read."""
    return (workspace, TEMPORARY, *(f"/dev/{name}" for name in DEVICES))
