"""Take back what tools changed in files, the newest change first.

A change is taken back only if the file is still as the tool left it; a file that a person or
a program changed since is left alone, and the difference is shown. A change whose program
died before it touched the file is passed over.
"""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

from msgspec import Struct

from micro_agi.errors import EntryConflict, EntryNotFound, InputInvalid, ToolFailed
from micro_agi.local.beneath import Beneath
from micro_agi.local.changes import hash_of
from micro_agi.local.difference import unified
from micro_agi.local.replace import Found, put, read_whole, remove
from micro_agi.local.text import decode
from micro_agi.store.database import Database


class Record(Struct, frozen=True, kw_only=True):
    """One change as it was remembered."""

    id: int
    at: float
    root: str
    path: str
    tool: str
    before: str
    after: str
    mode: int
    made: int
    session: str
    state: str

    @property
    def did(self) -> str:
        """What the change was, in a word."""
        return "changed" if self.before else "made"


class Undone(Struct, frozen=True, kw_only=True):
    """A change that was taken back."""

    path: str
    root: str
    what: str
    """`restored` as it was before, or `removed`, since it was new."""


class Undo:
    """Takes back changes that one home remembers, of one user; "" is work without a user."""

    def __init__(self, database: Database, *, user: str = "") -> None:
        self._database = database
        self._user = user

    async def changes(self, *, root: Path | None = None, limit: int = 20) -> list[Record]:
        """Return what can be taken back, newest first; of all workspaces, or of one."""
        where, values = ("root = ? AND", (str(root),)) if root else ("", ())
        rows = await self._database.read(
            lambda db: db.execute(
                "SELECT id, at, root, path, tool, before, after, mode, made, session, state "  # noqa: S608
                f"FROM workspace_changes WHERE {where} user = ? AND state <> 'undone' "
                "ORDER BY id DESC LIMIT ?",
                (*values, self._user, limit),
            ).fetchall()
        )
        fields = Record.__struct_fields__
        return [Record(**dict(zip(fields, row, strict=True))) for row in rows]

    async def undo(self, count: int = 1, *, root: Path | None = None) -> list[Undone]:
        """Take back the newest `count` changes, one after the other.

        Raises: EntryConflict at the first whose file was changed since, when none was taken back
        before it; EntryNotFound when there is nothing to take back; InputInvalid.
        """
        if count < 1:
            raise InputInvalid(f"{count} changes cannot be undone", fix="count from 1")
        done: list[Undone] = []
        while len(done) < count:
            records = await self.changes(root=root, limit=1)
            if not records:
                break
            try:
                undone = await self._one(records[0])
            except EntryConflict as error:
                if done:
                    error.what += f"; {len(done)} newer changes were undone before it"
                raise
            done += [undone] if undone else []
        if not done:
            raise EntryNotFound(
                "there is no change to undo",
                where=str(root or "this home"),
                fix="only changes by the file tools can be undone, not those by commands",
            )
        return done

    async def _one(self, record: Record) -> Undone | None:
        tree, parts = Beneath(Path(record.root)), tuple(record.path.split("/"))
        try:
            found = await asyncio.to_thread(read_whole, tree, parts, record.path)
        except (OSError, ToolFailed) as error:
            said = error.strerror if isinstance(error, OSError) else error.what
            raise EntryConflict(
                f"`{record.path}` cannot be undone: {said}",
                where=record.root,
                fix="put the file back as the tool left it, then undo",
            ) from error
        now = hash_of(found.data if found else None)
        if record.state == "intended" and now == record.before:
            await self._mark(record)
            return None
        if now != record.after:
            raise await self._conflict(record, found)
        before = await self._content(record.before)
        await asyncio.to_thread(_restore, tree, parts, record, before, found)
        await self._mark(record)
        return Undone(
            path=record.path, root=record.root, what="restored" if record.before else "removed"
        )

    async def _content(self, name: str) -> bytes | None:
        if not name:
            return None
        row: Any = await self._database.read(
            lambda db: db.execute(
                "SELECT body FROM workspace_contents WHERE hash = ?", (name,)
            ).fetchone()
        )
        assert row is not None, "contents go only after the changes that name them"
        body: bytes = row[0]
        return body

    async def _mark(self, record: Record) -> None:
        def mark(db: sqlite3.Connection) -> None:
            db.execute("UPDATE workspace_changes SET state = 'undone' WHERE id = ?", (record.id,))

        await self._database.write(mark, durable=True)

    async def _conflict(self, record: Record, found: Found | None) -> EntryConflict:
        left = await self._content(record.after)
        if found is None:
            since = "it was removed since"
        else:
            since = "since then:\n" + _difference(left or b"", found.data, record.path)
        return EntryConflict(
            f"`{record.path}` is not as {record.tool} left it, so it stays as it is; {since}",
            where=f"{record.root}, change {record.id}",
            fix="keep what you need of it elsewhere, put the file back as the tool left it, undo",
        )


def _restore(
    tree: Beneath,
    parts: tuple[str, ...],
    record: Record,
    before: bytes | None,
    found: Found | None,
) -> None:
    assert found is not None, "the file is as the change left it"
    if before is None:
        remove(tree, parts, record.path, before=found, made=record.made)
    else:
        put(tree, parts, record.path, before, before=found)


def _difference(left: bytes, now: bytes, path: str) -> str:
    try:
        return unified(decode(left, path).text, decode(now, path).text, path)
    except ToolFailed:
        return f"{len(left)} bytes became {len(now)} other bytes"
