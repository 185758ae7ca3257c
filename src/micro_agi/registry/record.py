"""Write a version: its row, its operations, the current state, in one transaction.

Runs in the writing thread under the write lock, which is what makes numbers without gaps
and an unbroken chain possible among many processes.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from micro_agi.errors import EntryConflict
from micro_agi.registry.entry import Entry
from micro_agi.registry.history import COLUMNS, Change, Version
from micro_agi.values import canonical_json


class Stale(Exception):
    """Another process wrote since the caller looked: catch up and try again."""


def append(
    db: sqlite3.Connection,
    version: Version,
    entries: Mapping[str, Entry | None],
    *,
    baseline: Mapping[str, str | None] | None = None,
) -> Version:
    """Write `version`, whose number must be the next one, and return it with its hash.

    Shape: `entries` holds the new content of each entry in its operations, None for a
    deleted one; `baseline` the hashes that the files have now, None for removed entries.
    Raises: Stale; EntryConflict when this call has written one of the entries before.
    """
    row = db.execute("SELECT id, hash FROM registry_versions ORDER BY id DESC LIMIT 1").fetchone()
    last, parent_hash = row or (-1, "")
    if version.id != last + 1:
        raise Stale
    version = replace(version, hash=version.computed_hash(parent_hash))
    _insert_version(db, version)
    try:
        db.executemany(
            "INSERT INTO registry_operations"
            "(version, seq, kind, entry, before, after, content, session, call_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            _operation_rows(version, entries),
        )
    except sqlite3.IntegrityError as error:
        raise EntryConflict(
            "this tool call has written one of these entries before",
            where=f"call {version.call_id} of session {version.session}",
            fix="read the entry, and change it in a call of its own",
        ) from error
    _set_current(db, version.id, entries)
    for entry_id, hash_ in (baseline or {}).items():
        if hash_ is None:
            db.execute("DELETE FROM registry_baseline WHERE entry = ?", (entry_id,))
        else:
            db.execute("INSERT OR REPLACE INTO registry_baseline VALUES (?, ?)", (entry_id, hash_))
    return version


def _insert_version(db: sqlite3.Connection, version: Version) -> None:
    marks = ", ".join("?" * len(COLUMNS.split(",")))
    db.execute(
        f"INSERT INTO registry_versions({COLUMNS}) VALUES ({marks})",  # noqa: S608 - constants
        (
            *(version.id, version.parent, version.at, version.actor, version.session),
            *(version.call_id, version.turn, version.agent, version.model, version.reason),
            *(canonical_json(dict(version.report)), version.hash),
        ),
    )


def _operation_rows(
    version: Version, entries: Mapping[str, Entry | None]
) -> Sequence[tuple[Any, ...]]:
    rows = []
    for seq, change in enumerate(version.operations):
        content = _content(change, entries[change.entry_id])
        facts = (change.kind, change.entry_id, change.before, change.after, content)
        rows.append((version.id, seq, *facts, version.session, version.call_id))
    return rows


def _content(change: Change, entry: Entry | None) -> bytes | None:
    return canonical_json(entry.as_content()) if entry is not None and change.after else None


def _set_current(db: sqlite3.Connection, number: int, entries: Mapping[str, Entry | None]) -> None:
    gone = [(entry_id,) for entry_id, entry in entries.items() if entry is None]
    there = [(entry_id, number) for entry_id, entry in entries.items() if entry is not None]
    db.executemany("DELETE FROM registry_current WHERE entry = ?", gone)
    db.executemany("INSERT OR REPLACE INTO registry_current VALUES (?, ?)", there)
