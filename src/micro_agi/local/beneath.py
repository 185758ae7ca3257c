"""Open paths beneath one directory, and never anything else.

A path is checked as text first (`parts_of`) and then opened with the kernel's own promise
not to leave the directory and not to follow a link (`openat2`). Where the kernel lacks that,
each component is opened beneath the one before, without following: whoever swaps a
directory for a link meanwhile gets an error, not a way out. Nothing here uses a path twice
to learn about a file and then to open it: what is checked is the descriptor.

Source: spec/local-agent.md 7.5; openat2(2).
"""

import errno
import functools
import os
import stat
import struct
import sys
from pathlib import Path

from micro_agi.errors import PathRefused

OPENAT2 = 437
"""The same on every machine: the kernel's tables were merged from 424 on."""
NO_MAGIC_LINKS, NO_SYMLINKS, BENEATH = 0x02, 0x04, 0x08
TRIES = 16
"""`openat2` says EAGAIN when something was renamed while it looked."""
MAX_PARTS = 64
MAX_NAME_BYTES = 255
BASE_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW


def parts_of(path: str) -> tuple[str, ...]:
    """Split a relative path into its names; `.` and doubled slashes mean nothing.

    Shape: () is the directory itself.
    Raises: PathRefused for an absolute path, a `..`, a NUL, a name no file can have.
    """
    if "\0" in path:
        raise refused(path, "a path holds no NUL character")
    if path.startswith("/"):
        raise refused(path, "an absolute path leaves the workspace")
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if ".." in parts:
        raise refused(path, "`..` may lead out of the workspace")
    if len(parts) > MAX_PARTS:
        raise refused(path, f"a path has at most {MAX_PARTS} names")
    for part in parts:
        try:
            size = len(os.fsencode(part))
        except UnicodeEncodeError:
            raise refused(path, "the name is no valid Unicode") from None
        if size > MAX_NAME_BYTES:
            raise refused(path, f"a name has at most {MAX_NAME_BYTES} bytes")
    return parts


class Beneath:
    """One directory whose tree is open, and nothing above or beside it."""

    def __init__(self, root: Path, *, kernel: bool = True) -> None:
        """Keep `root`, whose own path is trusted: the operator gave it.

        `kernel=False` walks by components even where `openat2` works.
        """
        self.root = root
        self._kernel = kernel and _has_openat2()

    def open(self, parts: tuple[str, ...], flags: int, mode: int = 0o666) -> int:
        """Open a path and return its descriptor.

        Raises: PathRefused for a link in any component; OSError as `open` does.
        """
        root = os.open(self.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if not parts:
                return os.open(".", flags | BASE_FLAGS, dir_fd=root)
            try:
                if self._kernel:
                    return _openat2(root, parts, flags | BASE_FLAGS, mode)
                return _step_by_step(root, parts, flags | BASE_FLAGS, mode)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.EXDEV):
                    shown = "/".join(parts)
                    raise refused(shown, "a symbolic link is in it") from error
                raise
        finally:
            os.close(root)

    def directory(self, parts: tuple[str, ...]) -> int:
        """Open a directory, for listing it and as the base of `*at` calls.

        Raises: PathRefused for a link to one; OSError as `open` does.
        """
        try:
            return self.open(parts, os.O_RDONLY | os.O_DIRECTORY)
        except NotADirectoryError:
            # Not followed, a link is no directory either: say which of them it is.
            os.close(self.open(parts, os.O_PATH))
            raise


def refused(path: str, why: str, *, fix: str = "") -> PathRefused:
    """Return the one error for paths that file tools do not touch."""
    return PathRefused(
        f"`{path[:200]}` is not open to file tools: {why}",
        where=path[:200],
        fix=fix or "name a file below the workspace by a relative path, as `notes/today.md`",
    )


def _step_by_step(root: int, parts: tuple[str, ...], flags: int, mode: int) -> int:
    """Open component by component; a link anywhere fails with ELOOP."""
    at = os.dup(root)
    try:
        for name in parts[:-1]:
            try:
                below = os.open(name, os.O_PATH | os.O_DIRECTORY | BASE_FLAGS, dir_fd=at)
            except NotADirectoryError:
                # Without following, a link is no directory either: say which of them it is.
                if stat.S_ISLNK(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
                    raise _loop() from None
                raise
            os.close(at)
            at = below
        return _no_link(os.open(parts[-1], flags, mode, dir_fd=at), flags)
    finally:
        os.close(at)


def _openat2(root: int, parts: tuple[str, ...], flags: int, mode: int) -> int:
    if not flags & os.O_CREAT:
        mode = 0  # the kernel refuses a mode that means nothing
    how = struct.pack("<QQQ", flags, mode, BENEATH | NO_SYMLINKS | NO_MAGIC_LINKS)
    path = os.fsencode("/".join(parts))
    number = errno.EAGAIN
    for _ in range(TRIES):
        opened, number = _call_openat2(root, path, how)
        if opened >= 0:
            return _no_link(opened, flags)
        if number != errno.EAGAIN:
            break
    raise OSError(number, os.strerror(number))


def _no_link(opened: int, flags: int) -> int:
    """Refuse a handle of a link itself, which `O_PATH` gives instead of an error."""
    if flags & os.O_PATH and stat.S_ISLNK(os.fstat(opened).st_mode):
        os.close(opened)
        raise _loop()
    return opened


def _loop() -> OSError:
    return OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _call_openat2(root: int, path: bytes, how: bytes) -> tuple[int, int]:
    """Return a descriptor, or -1, and the error number."""
    import ctypes  # 5 ms that a start without file tools does not pay

    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    opened = libc.syscall(
        *(ctypes.c_long(OPENAT2), ctypes.c_long(root), ctypes.c_char_p(path)),
        *(ctypes.c_char_p(how), ctypes.c_size_t(len(how))),
    )
    return opened, ctypes.get_errno()


@functools.cache
def _has_openat2() -> bool:
    """Whether the kernel, or a filter around this process, lets us call it."""
    if not sys.platform.startswith("linux"):
        return False
    how = struct.pack("<QQQ", os.O_PATH | os.O_CLOEXEC, 0, BENEATH)
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        opened, _ = _call_openat2(root, b".", how)
    finally:
        os.close(root)
    if opened >= 0:
        os.close(opened)
    return opened >= 0
