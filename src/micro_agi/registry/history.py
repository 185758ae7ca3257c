"""Every version the registry ever had: who, when, why, what; and whether it was tampered with.

A version's hash covers its facts, the hashes of what it wrote and its parent's hash, so
that changing any row breaks the chain from there on. Rows are only ever added.

All functions here read; `record.py` writes. They block for the time of a query.
"""

import difflib
import sqlite3
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from micro_agi.errors import EntryNotFound
from micro_agi.registry.entry import Entry, decode
from micro_agi.store.database import Database
from micro_agi.values import content_hash

OperationKind = Literal["entry.create", "entry.update", "entry.delete"]


class Change(Struct, frozen=True, kw_only=True):
    """What one version did to one entry."""

    kind: OperationKind
    """`entry.create` also when an entry of another kind stood there before."""
    entry_id: str
    before: str
    """Content hash before, "" if it did not exist."""
    after: str
    """Content hash after, "" when it was deleted."""


class Version(Struct, frozen=True, kw_only=True):
    """One version and its provenance. `str(version)` is `v3`."""

    id: int
    parent: int | None
    at: float
    """Seconds since 1970."""
    actor: str
    """`root`, `agent:app:dev_assistant`; `system:loader` for what came from files."""
    session: str = ""
    call_id: str = ""
    turn: int = 0
    agent: str = ""
    model: str = ""
    reason: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)
    """What the gate checked before a tool was written."""
    operations: tuple[Change, ...] = ()
    hash: str = ""

    def __str__(self) -> str:
        return f"v{self.id}"

    def computed_hash(self, parent_hash: str) -> str:
        """Return the hash this version must have after a parent with `parent_hash`."""
        facts = [
            *(parent_hash, self.id, self.parent, self.at, self.actor, self.session, self.call_id),
            *(self.turn, self.agent, self.model, self.reason, dict(self.report)),
            [[c.kind, c.entry_id, c.before, c.after] for c in self.operations],
        ]
        return content_hash(facts)


class EntryRevision(Struct, frozen=True, kw_only=True):
    """One entry as one version left it."""

    version: Version
    entry: Entry | None
    """None where it was deleted."""
    hash: str
    """Of the content; "" where it was deleted."""


class Broken(Struct, frozen=True, kw_only=True):
    """Where `verify` found that the history does not hold together."""

    version: int
    what: str


class History:
    """Reads the versions of one state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def versions(self) -> list[Version]:
        """Return all versions, oldest first."""
        return self._database.read_now(lambda db: read_versions(db, 0))

    def version(self, number: int) -> Version:
        """Return one version.

        Raises: EntryNotFound.
        """
        found = self._database.read_now(lambda db: read_versions(db, number, number))
        if not found:
            raise EntryNotFound(
                "version not found",
                where=f"v{number}",
                fix="`micro-agi registry history` lists them",
            )
        return found[0]

    def of_call(self, session: str, call_id: str) -> list[Version]:
        """Return the versions that one tool call wrote: empty means that it wrote nothing."""
        if not call_id:
            return []
        query = (
            "SELECT DISTINCT version FROM registry_operations"
            " WHERE session = ? AND call_id = ? AND call_id <> '' ORDER BY version"
        )

        def read(db: sqlite3.Connection) -> list[Version]:
            numbers = [row[0] for row in db.execute(query, (session, call_id))]
            return [v for n in numbers for v in read_versions(db, n, n)]

        return self._database.read_now(read)

    def of_entry(self, entry_id: str) -> list[EntryRevision]:
        """Return what each version made of one entry, oldest first; empty for an unknown id."""
        query = "SELECT version, content, after FROM registry_operations WHERE entry = ? ORDER BY 1"

        def read(db: sqlite3.Connection) -> list[EntryRevision]:
            rows = db.execute(query, (entry_id,)).fetchall()
            return [
                EntryRevision(
                    version=_version_row(db, number, only=entry_id),
                    entry=decode(content, number) if content is not None else None,
                    hash=after,
                )
                for number, content, after in rows
            ]

        return self._database.read_now(read)

    def entry_at(self, entry_id: str, number: int) -> Entry | None:
        """Return one entry as it stood after version `number`; None when it did not exist."""
        self.version(number)
        query = (
            "SELECT version, content FROM registry_operations"
            " WHERE entry = ? AND version <= ? ORDER BY version DESC LIMIT 1"
        )
        row = self._database.read_now(lambda db: db.execute(query, (entry_id, number)).fetchone())
        return decode(row[1], row[0]) if row and row[1] is not None else None

    def entries_at(self, number: int) -> list[Entry]:
        """Return all entries as they stood after version `number`, in no order.

        Raises: EntryNotFound for an unknown version.
        """
        self.version(number)
        # With max() SQLite takes the other columns from the row that has the maximum.
        query = (
            "SELECT max(version), content FROM registry_operations"
            " WHERE version <= ? GROUP BY entry"
        )
        rows = self._database.read_now(lambda db: db.execute(query, (number,)).fetchall())
        return [decode(content, version) for version, content in rows if content is not None]

    def diff(self, entry_id: str, a: int, b: int) -> str:
        """Return a unified diff of one entry between two versions; "" when they are the same.

        Raises: EntryNotFound for an unknown version, or an entry that existed in neither.
        """
        old, new = self.entry_at(entry_id, a), self.entry_at(entry_id, b)
        if old is None and new is None:
            raise EntryNotFound(
                f"entry not found: {entry_id}",
                where=f"v{a} and v{b}",
                fix=f"`micro-agi registry history {entry_id}` lists its versions",
            )
        lines = difflib.unified_diff(
            entry_text(old).splitlines(),
            entry_text(new).splitlines(),
            f"{entry_id}@v{a}",
            f"{entry_id}@v{b}",
            lineterm="",
        )
        return "\n".join(lines)

    def verify(self) -> Broken | None:
        """Recompute the chain and return the first place where it does not hold, or None."""
        return self._database.read_now(_verify)


def entry_text(entry: Entry | None) -> str:
    """Write an entry for a person: texts of several lines as lines, the rest as JSON."""
    if entry is None:
        return ""
    lines = [f"id: {entry.id}", f"kind: {entry.kind}"]
    for part, values in (("meta", entry.meta), ("data", entry.data)):
        for key in sorted(values):
            value = values[key]
            if isinstance(value, str) and "\n" in value:
                lines += [f"{part}.{key}: |", *(f"  {line}" for line in value.split("\n"))]
            elif isinstance(value, dict | list):
                text = msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2)
                lines += f"{part}.{key}: {text.decode()}".split("\n")
            else:
                lines.append(f"{part}.{key}: {msgspec.json.encode(value).decode()}")
    return "\n".join(lines) + "\n"


def read_versions(db: sqlite3.Connection, first: int, last: int | None = None) -> list[Version]:
    """Read the versions with numbers from `first` to `last`, with their operations."""
    until = last if last is not None else (1 << 62)
    changes: dict[int, list[Change]] = {}
    query = (
        "SELECT version, kind, entry, before, after FROM registry_operations"
        " WHERE version BETWEEN ? AND ? ORDER BY version, seq"
    )
    for number, kind, entry, before, after in db.execute(query, (first, until)):
        change = Change(kind=kind, entry_id=entry, before=before, after=after)
        changes.setdefault(number, []).append(change)
    query = f"{SELECT} WHERE id BETWEEN ? AND ? ORDER BY id"
    rows = db.execute(query, (first, until)).fetchall()
    return [_version(row, tuple(changes.get(row[0], ()))) for row in rows]


COLUMNS = "id, parent, at, actor, session, call_id, turn, agent, model, reason, report, hash"
SELECT = f"SELECT {COLUMNS} FROM registry_versions"  # noqa: S608 - a constant


def _version(row: tuple[Any, ...], operations: tuple[Change, ...]) -> Version:
    number, parent, at, actor, session, call_id, turn, agent, model, reason, report, hash_ = row
    return Version(
        id=number,
        parent=parent,
        at=at,
        actor=actor,
        session=session,
        call_id=call_id,
        turn=turn,
        agent=agent,
        model=model,
        reason=reason,
        report=msgspec.json.decode(report),
        operations=operations,
        hash=hash_,
    )


def _version_row(db: sqlite3.Connection, number: int, *, only: str) -> Version:
    """Read a version with its operation on one entry; the first version may hold 100,000."""
    query = (
        "SELECT kind, entry, before, after"
        " FROM registry_operations INDEXED BY registry_operations_by_entry"
        " WHERE version = ? AND entry = ? ORDER BY seq"
    )
    operations = tuple(
        Change(kind=kind, entry_id=entry, before=before, after=after)
        for kind, entry, before, after in db.execute(query, (number, only))
    )
    row = db.execute(f"{SELECT} WHERE id = ?", (number,)).fetchone()
    return _version(row, operations)


def _verify(db: sqlite3.Connection) -> Broken | None:
    state: dict[str, tuple[int, str]] = {}
    parent: Version | None = None
    for version in read_versions(db, 0):
        what = next(_faults(db, version, parent, state), "")
        if what:
            return Broken(version=version.id, what=what)
        for change in version.operations:
            state[change.entry_id] = (version.id, change.after)
        parent = version
    current = dict(db.execute("SELECT entry, version FROM registry_current"))
    derived = {entry: number for entry, (number, after) in state.items() if after}
    if current != derived:
        entry = min(current.items() ^ derived.items())[0]
        number = state.get(entry, (0, ""))[0]
        return Broken(version=number, what=f"the current state of `{entry}` is not its history's")
    return None


def _faults(
    db: sqlite3.Connection,
    version: Version,
    parent: Version | None,
    state: Mapping[str, tuple[int, str]],
) -> Iterator[str]:
    if version.parent != (parent.id if parent else None):
        yield "its parent is not the version before it"
    if version.hash != version.computed_hash(parent.hash if parent else ""):
        yield "its hash is not that of its content and its parent"
    for change in version.operations:
        if change.before != state.get(change.entry_id, (0, ""))[1]:
            yield f"`{change.entry_id}` did not stand before it as it says"
    query = "SELECT entry, after, content FROM registry_operations WHERE version = ?"
    for entry, after, content in db.execute(query, (version.id,)):
        if after != (sha256(content).hexdigest() if content is not None else ""):
            yield f"the content of `{entry}` is not the one that was written"
