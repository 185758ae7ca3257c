"""Turn what SQLite says about the disk, the file or its neighbours into `StoreFailed`.

Only what a person can do something about is translated. A wrong statement or a violated
constraint is a fact for the caller, or our bug, and passes as it is.
"""

import sqlite3

from micro_agi.errors import StoreFailed

FIXES = {
    "FULL": ("the disk is full", "free some space, or choose another place with --home"),
    "READONLY": (
        "the state database cannot be written",
        "make the file and its directory writable for you, or choose another --home",
    ),
    "PERM": ("the state database cannot be opened", "check who owns the file and its mode"),
    "CANTOPEN": (
        "the state database cannot be opened",
        "check that the directory exists and is writable, or choose another --home",
    ),
    "AUTH": ("the state database cannot be opened", "check who owns the file and its mode"),
    "CORRUPT": (
        "the state database is damaged",
        "move it away (`sqlite3 OLD .recover` may save its rows), or choose another --home",
    ),
    "NOTADB": (
        "this file is no SQLite database",
        "move it away, or choose another --home",
    ),
    "BUSY": (
        "the state database is locked by another process",
        "wait for it or end it, or give this process its own --home",
    ),
    "LOCKED": (
        "the state database is locked by another process",
        "wait for it or end it, or give this process its own --home",
    ),
    "IOERR": ("the disk did not read or write", "check the disk and the file system's quota"),
    "TOOBIG": ("a row is larger than the database takes", "store less at once"),
    "NOMEM": ("there is no memory left", "end other programs, or store less at once"),
    "PROTOCOL": (
        "the state database is locked by another process",
        "wait for it or end it, or give this process its own --home",
    ),
}


def translate(error: sqlite3.Error, place: str) -> StoreFailed | None:
    """Return the error a person reads, or None when `error` is not about the environment."""
    name = getattr(error, "sqlite_errorname", None) or ""
    known = FIXES.get(name.removeprefix("SQLITE_").partition("_")[0])
    if known is None:
        return None
    what, fix = known
    return StoreFailed(f"{what}: {error}", where=place, fix=fix)
