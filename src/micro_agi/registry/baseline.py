"""Tell what the files changed since the last start from what was changed at run time.

History is linear and the newest change counts. A file that was edited wins over what was
changed at run time before; a file that stayed as it was leaves such a change alone. An
entry that vanished from the files goes, unless somebody changed it at run time: then it is
theirs. Nothing is lost either way: the history has all of it.
"""

import sqlite3
from collections.abc import Mapping

from msgspec import Struct

from micro_agi.registry.entry import Entry, decode
from micro_agi.registry.history import Change


class Reconciled(Struct, frozen=True, kw_only=True):
    """The stored state, and what the files change about it."""

    last: int
    """Number of the newest version, -1 when there is none."""
    entries: list[Entry]
    """What is stored now."""
    changes: tuple[Change, ...]
    written: Mapping[str, Entry | None]
    baseline: Mapping[str, str | None]
    """New hashes of file entries whose content differs from what was remembered."""

    def remember(self, db: sqlite3.Connection) -> None:
        """Store the new hashes when no version is needed for them."""
        gone = [(entry_id,) for entry_id, hash_ in self.baseline.items() if hash_ is None]
        there = [(entry_id, hash_) for entry_id, hash_ in self.baseline.items() if hash_]
        db.executemany("DELETE FROM registry_baseline WHERE entry = ?", gone)
        db.executemany("INSERT OR REPLACE INTO registry_baseline VALUES (?, ?)", there)


def reconcile(db: sqlite3.Connection, files: Mapping[str, Entry]) -> Reconciled:
    """Compare the entries from files with what is stored. Reads only."""
    row = db.execute("SELECT coalesce(max(id), -1) FROM registry_versions").fetchone()
    current = _current(db, files)
    remembered: dict[str, str] = dict(db.execute("SELECT entry, hash FROM registry_baseline"))
    changes: list[Change] = []
    written: dict[str, Entry | None] = {}
    for entry_id, entry in files.items():
        now = current.get(entry_id)
        if remembered.get(entry_id) == entry.hash or (now and now.hash == entry.hash):
            continue
        same_kind = now is not None and now.kind == entry.kind
        changes.append(
            Change(
                kind="entry.update" if same_kind else "entry.create",
                entry_id=entry_id,
                before=now.hash if now else "",
                after=entry.hash,
            )
        )
        written[entry_id] = entry
    for entry_id, hash_ in remembered.items():
        now = current.get(entry_id)
        if entry_id not in files and now is not None and now.hash == hash_:
            change = Change(kind="entry.delete", entry_id=entry_id, before=hash_, after="")
            changes.append(change)
            written[entry_id] = None
    return Reconciled(
        last=row[0],
        entries=list(current.values()),
        changes=tuple(changes),
        written=written,
        baseline=_differences(remembered, files),
    )


def _current(db: sqlite3.Connection, files: Mapping[str, Entry]) -> dict[str, Entry]:
    """Read what is stored; content that a file has as well is not decoded again."""
    query = (
        "SELECT c.entry, c.version, o.after, o.content FROM registry_current c"
        " JOIN registry_operations o ON o.entry = c.entry AND o.version = c.version"
    )
    current: dict[str, Entry] = {}
    for entry_id, number, hash_, content in db.execute(query):
        file = files.get(entry_id)
        if file is not None and file.hash == hash_:
            current[entry_id] = file.at_revision(number)
        else:
            current[entry_id] = decode(content, number)
    return current


def _differences(
    remembered: Mapping[str, str], files: Mapping[str, Entry]
) -> dict[str, str | None]:
    found: dict[str, str | None] = {
        entry_id: entry.hash
        for entry_id, entry in files.items()
        if remembered.get(entry_id) != entry.hash
    }
    found.update((entry_id, None) for entry_id in remembered if entry_id not in files)
    return found
