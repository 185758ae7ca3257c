"""Put a file's new content in its place in one step, beneath a directory.

Whoever reads the file sees the old content or the new one, never half of it; a crash leaves
the old file and at most a temporary one beside it. The replaced file's mode and owner stay.
"""

import contextlib
import errno
import os
import secrets
import stat

from msgspec import Struct

from micro_agi.errors import EntryConflict, ToolFailed
from micro_agi.local.beneath import Beneath, refused

MAX_BYTES = 8 << 20
"""Of a file that tools rewrite; larger ones are data, not text."""
NEW_MODE = 0o666
"""Before the process's umask."""


class Found(Struct, frozen=True, kw_only=True):
    """A file as it was when it was read."""

    data: bytes
    mode: int
    owner: tuple[int, int]
    mark: tuple[int, ...]
    """What tells that nobody changed it since."""


def read_whole(tree: Beneath, parts: tuple[str, ...], shown: str) -> Found | None:
    """Read an ordinary file that a tool is about to replace; None when there is none.

    Raises: PathRefused for what is no ordinary file, ToolFailed for one that is too large.
    """
    try:
        os.close(_checked(tree, parts, shown, os.O_PATH))
        opened = _checked(tree, parts, shown, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise ToolFailed(f"`{shown}` goes through a file", where=shown) from error
    except OSError as error:
        raise ToolFailed(f"`{shown}` cannot be read: {error.strerror}", where=shown) from error
    with os.fdopen(opened, "rb") as file:
        found = os.fstat(opened)
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ToolFailed(
            f"`{shown}` is larger than {MAX_BYTES >> 20} MiB",
            where=shown,
            fix="change it with a command: sed, or a script",
        )
    return Found(
        data=data,
        mode=stat.S_IMODE(found.st_mode) & 0o777,
        owner=(found.st_uid, found.st_gid),
        mark=_mark(found),
    )


def require_ordinary(shown: str, found: os.stat_result) -> None:
    """Return quietly for an ordinary file that has this one name.

    Raises: ToolFailed for a directory, PathRefused for the rest.
    """
    if stat.S_ISDIR(found.st_mode):
        raise ToolFailed(f"`{shown}` is a directory", where=shown, fix="list_files lists it")
    if not stat.S_ISREG(found.st_mode):
        raise refused(shown, "it is a device, a pipe or a socket")
    if found.st_nlink > 1:
        raise refused(
            shown,
            "it is a hard link, whose other name may be outside",
            fix="copy it to a new file first",
        )


def put(
    tree: Beneath, parts: tuple[str, ...], shown: str, data: bytes, *, before: Found | None
) -> int:
    """Put `data` where `before` was; return how many directories were made for it.

    Raises: EntryConflict when it is not as `before` any more; ToolFailed when the system refuses.
    """
    try:
        parent, made = _parent(tree, parts)
    except OSError as error:
        raise ToolFailed(f"`{shown}` cannot be written: {error.strerror}", where=shown) from error
    name = parts[-1]
    temporary = f".{name[:100]}.{secrets.token_hex(6)}.tmp"
    try:
        _write_temporary(parent, temporary, data, before)
        if before is None:
            _take_free_name(parent, temporary, name, shown)
        else:
            _replace(parent, temporary, name, shown, before)
    except OSError as error:
        raise ToolFailed(f"`{shown}` cannot be written: {error.strerror}", where=shown) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=parent)
        os.close(parent)
    return made


def remove(tree: Beneath, parts: tuple[str, ...], shown: str, *, before: Found, made: int) -> None:
    """Remove a file that is as `before`, and the directories made for it that are empty now.

    Raises: EntryConflict when it is not as `before` any more.
    """
    parent = tree.directory(parts[:-1])
    try:
        _require_unchanged(parent, parts[-1], shown, before)
        os.unlink(parts[-1], dir_fd=parent)
    finally:
        os.close(parent)
    for depth in range(1, made + 1):
        above = tree.directory(parts[: -depth - 1])
        try:
            os.rmdir(parts[-depth - 1], dir_fd=above)
        except OSError:
            return  # something else lives there by now
        finally:
            os.close(above)


def _checked(tree: Beneath, parts: tuple[str, ...], shown: str, flags: int) -> int:
    opened = tree.open(parts, flags)
    try:
        require_ordinary(shown, os.fstat(opened))
    except BaseException:
        os.close(opened)
        raise
    return opened


def _mark(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _parent(tree: Beneath, parts: tuple[str, ...]) -> tuple[int, int]:
    """Open the directory of a file, making what is missing; return it and how many were made."""
    made = 0
    at = tree.directory(())
    for depth, name in enumerate(parts[:-1]):
        try:
            below = tree.directory(parts[: depth + 1])
        except FileNotFoundError:
            try:
                os.mkdir(name, dir_fd=at)
                made += 1
                below = tree.directory(parts[: depth + 1])
            except BaseException:
                os.close(at)
                raise
        except BaseException:
            os.close(at)
            raise
        os.close(at)
        at = below
    return at, made


def _write_temporary(parent: int, name: str, data: bytes, before: Found | None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    opened = os.open(name, flags, NEW_MODE if before is None else 0o600, dir_fd=parent)
    with os.fdopen(opened, "wb") as file:
        file.write(data)
        if before is not None:
            own = os.fstat(opened)
            if (own.st_uid, own.st_gid) != before.owner:
                with contextlib.suppress(PermissionError):
                    os.fchown(opened, *before.owner)
            os.fchmod(opened, before.mode)
        file.flush()
        os.fsync(opened)


def _take_free_name(parent: int, temporary: str, name: str, shown: str) -> None:
    """Give the new file its name unless somebody took it meanwhile."""
    try:
        os.link(temporary, name, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
    except FileExistsError as error:
        raise _changed(shown) from error
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        # A file system without links: the check and the rename are two steps there.
        if name in os.listdir(parent):
            raise _changed(shown) from error
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)


def _replace(parent: int, temporary: str, name: str, shown: str, before: Found) -> None:
    _require_unchanged(parent, name, shown, before)
    os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)


def _require_unchanged(parent: int, name: str, shown: str, before: Found) -> None:
    try:
        now = _mark(os.stat(name, dir_fd=parent, follow_symlinks=False))
    except FileNotFoundError:
        now = ()
    if now != before.mark:
        raise _changed(shown)


def _changed(shown: str) -> EntryConflict:
    return EntryConflict(
        f"`{shown}` was changed by somebody else meanwhile; nothing was written",
        where=shown,
        fix="read it again, then decide",
    )
