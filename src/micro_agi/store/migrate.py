"""Bring a database file to the schema this program knows: numbered SQL files, one by one.

`PRAGMA user_version` holds the number of the last one that ran. Each runs in one
transaction together with the new number, so a killed start leaves the old schema or the
new one. A file from a newer program is refused: guessing at its tables could destroy it.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from importlib import resources

from msgspec import Struct

from micro_agi.errors import StoreFailed

APPLICATION_ID = 0x6D614749
"""In the file's header ("maGI"), so that another program's database is not taken for ours."""


class Migration(Struct, frozen=True):
    """One numbered step; `sql` holds complete statements."""

    number: int
    sql: str


def packaged() -> tuple[Migration, ...]:
    """Read the migrations of this program, in order: `migrations/0001_start.sql`, …"""
    folder = resources.files("micro_agi.store") / "migrations"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    found = tuple(Migration(int(f.name.partition("_")[0]), f.read_text("utf-8")) for f in files)
    assert [m.number for m in found] == list(range(1, len(found) + 1)), "numbers have gaps"
    return found


def migrate(connection: sqlite3.Connection, place: str, migrations: Sequence[Migration]) -> int:
    """Run what is missing and return the schema's number.

    Several processes may start at once: each takes the write lock before it looks.
    Raises: StoreFailed for a newer schema, or another program's file.
    """
    newest = migrations[-1].number if migrations else 0
    if _version(connection, place, newest) == newest:
        return newest
    connection.execute("BEGIN IMMEDIATE")
    try:
        for migration in migrations[_version(connection, place, newest) :]:
            for statement in statements(migration.sql):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {migration.number}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return newest


def statements(sql: str) -> Iterator[str]:
    """Split a script; `executescript` would commit our transaction first."""
    pending = ""
    for piece in re.findall(r"[^;]*;", sql):
        pending += piece
        if sqlite3.complete_statement(pending):  # the semicolon is in no text or comment
            yield pending
            pending = ""
    assert not pending, f"an unfinished statement: {pending}"


def _version(connection: sqlite3.Connection, place: str, newest: int) -> int:
    owner: int = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    used = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if owner != APPLICATION_ID and (owner or used):
        raise StoreFailed(
            "this is the database of another program",
            where=place,
            fix="move it away, or choose another --home",
        )
    if version > newest:
        raise StoreFailed(
            f"the state database has schema {version}, this program knows {newest}",
            where=place,
            fix="upgrade micro-agi, or choose another --home",
        )
    return version
