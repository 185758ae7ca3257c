"""Large texts by the hash of their content: stored once, and gone with the last session.

The functions run inside somebody's transaction, so that a blob and the row that refers to
it are committed together. `blob_uses` says which session refers to which blob; a session
sees its own only. A handle is the first digits of a hash: what a model is shown.
"""

import sqlite3
from collections.abc import Sequence
from hashlib import sha256

HANDLE_CHARS = 16
FIND = "SELECT body FROM blobs b WHERE b.hash >= ? AND b.hash < ?"
USED = "EXISTS (SELECT 1 FROM blob_uses u WHERE u.session = ? AND u.hash = b.hash)"
SESSION_TABLES = ("journal", "standings", "blob_uses", "leases")


def blob_hash(body: bytes) -> str:
    """Return the key a body is stored under, hexadecimal."""
    return sha256(body).hexdigest()


def put(db: sqlite3.Connection, session: str, bodies: Sequence[tuple[str, bytes]]) -> None:
    """Store bodies under their hashes, unless they are there, as used by a session."""
    if not bodies:
        return
    db.executemany(
        "INSERT OR IGNORE INTO blobs(hash, size, body) VALUES (?, ?, ?)",
        [(key, len(body), body) for key, body in bodies],
    )
    db.executemany(
        "INSERT OR IGNORE INTO blob_uses(session, hash) VALUES (?, ?)",
        [(session, key) for key, _ in bodies],
    )


def get(db: sqlite3.Connection, handle: str, *, session: str | None) -> bytes | None:
    """Return the body whose hash begins with `handle`, or None.

    Only what `session` refers to is seen; `None` sees everything.
    """
    bounds = (handle, handle + "g")  # behind every hexadecimal digit
    if session is None:
        row = db.execute(f"{FIND} LIMIT 1", bounds).fetchone()
    else:
        row = db.execute(f"{FIND} AND {USED} LIMIT 1", (*bounds, session)).fetchone()
    return row[0] if row else None


def of_session(db: sqlite3.Connection, session: str) -> dict[str, bytes | None]:
    """Return all that a session refers to, by hash; None for what is missing."""
    query = (
        "SELECT u.hash, b.body FROM blob_uses u LEFT JOIN blobs b USING (hash) WHERE u.session = ?"
    )
    return dict(db.execute(query, (session,)).fetchall())


def forget(db: sqlite3.Connection, session: str) -> int:
    """Remove a session with all its rows, and the blobs that nobody refers to any more.

    Returns the bytes of those blobs. What calls outside of sessions stored goes too.
    """
    for table in SESSION_TABLES:
        db.execute(f"DELETE FROM {table} WHERE session = ?", (session,))  # noqa: S608 - constants
    db.execute("DELETE FROM sessions WHERE id = ?", (session,))
    db.execute("DELETE FROM blob_uses WHERE session NOT IN (SELECT id FROM sessions)")
    unused = "FROM blobs WHERE hash NOT IN (SELECT hash FROM blob_uses)"
    freed: int = db.execute(f"SELECT coalesce(sum(size), 0) {unused}").fetchone()[0]
    db.execute(f"DELETE {unused}")
    return freed
