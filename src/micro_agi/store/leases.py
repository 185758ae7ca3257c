"""Leases: one holder runs a session's turn, and one that lost its lease cannot write.

The functions run inside somebody's write transaction, so that the check and what it
protects are one. A lease ends when its turn does, when its time is over, or when the
process that holds it is gone; each new one has a higher token (a fencing token), which
every write of its turn carries.
"""

import itertools
import os
import sqlite3
from functools import lru_cache
from pathlib import Path

from micro_agi.errors import EntryConflict

LEASE_S = 30.0
"""A holder that did not write or renew for so long may be dead without our knowing."""

_counter = itertools.count(1)


def new_holder() -> str:
    """Return a name for one holder in this process."""
    return f"{_own(os.getpid())}/{next(_counter)}"


@lru_cache(maxsize=1)
def _own(pid: int) -> str:
    """Return this process's name, read once: it would be a third of opening a session.

    By number, so that a forked child has a name of its own.
    """
    return _process(pid)


def take(db: sqlite3.Connection, session: str, token: int, holder: str, now: float) -> None:
    """Take the lease of a session under `token`, which has to be the next one.

    Raises: EntryConflict when another holder has it, or had it since the session was read.
    """
    last = refuse_busy(db, session, now, holder=holder)
    if token != last + 1:
        raise lost(session)
    db.execute(
        "INSERT OR REPLACE INTO leases(session, token, holder, until) VALUES (?, ?, ?, ?)",
        (session, token, holder, now + LEASE_S),
    )


def refuse_busy(db: sqlite3.Connection, session: str, now: float, *, holder: str = "") -> int:
    """Return the newest token of a session, unless somebody but `holder` runs a turn of it.

    Raises: EntryConflict.
    """
    row = db.execute("SELECT token, holder, until FROM leases WHERE session = ?", (session,))
    last, other, until = row.fetchone() or (0, "", 0.0)
    if other != holder and until > now and is_alive(other):
        raise EntryConflict(
            f"session `{session}` is in the middle of a turn in another program",
            where=f"process {other.partition(':')[0]}",
            fix="wait until it is done, or end that program",
        )
    return int(last)


def renew(db: sqlite3.Connection, session: str, token: int, now: float, *, end: bool) -> None:
    """Prolong a lease, or with `end` give it up.

    Raises: EntryConflict when somebody else has taken it.
    """
    changed = db.execute(
        "UPDATE leases SET until = ? WHERE session = ? AND token = ?",
        (0.0 if end else now + LEASE_S, session, token),
    )
    if not changed.rowcount:
        raise lost(session)


def check(db: sqlite3.Connection, session: str, token: int) -> None:
    """Let a write of a session's turn pass.

    Raises: EntryConflict when the turn that `token` belongs to has lost its lease.
    """
    row = db.execute("SELECT token FROM leases WHERE session = ?", (session,)).fetchone()
    if row is not None and row[0] != token:
        raise lost(session)


def last_token(db: sqlite3.Connection, session: str) -> int:
    """Return the token of the newest lease of a session, 0 before the first."""
    row = db.execute("SELECT token FROM leases WHERE session = ?", (session,)).fetchone()
    return row[0] if row else 0


def is_alive(holder: str) -> bool:
    """Whether the process of a holder still runs; unknown counts as running."""
    process = holder.partition("/")[0]
    pid = process.partition(":")[0]
    return not pid.isdigit() or _process(int(pid)) == process


def lost(session: str) -> EntryConflict:
    """Return the error of a holder whose session went on without it."""
    return EntryConflict(
        f"session `{session}` was continued by another process",
        where=f"session {session}",
        fix=f"open it again: `micro-agi --session {session}`",
    )


def _process(pid: int) -> str:
    """Return a name that no other process has had since this machine started, "" for none.

    On Linux it holds the time the process began: numbers of processes come back.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return "" if Path("/proc/self/stat").exists() else f"{pid}:"
    began = stat.rpartition(")")[2].split()[19]
    return f"{pid}:{began}:{boot}"
