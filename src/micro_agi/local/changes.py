"""Change files for tools, and remember what each was before.

The intent is on disk before the file is touched: content before and after, by hash. So a
change can be undone later, also when the program was killed in the middle of it. How much
is remembered has a limit; the oldest changes go first.
"""

import asyncio
import hashlib
import sqlite3
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import Struct

from micro_agi.local.replace import Found, put, read_whole
from micro_agi.local.workspace import Place
from micro_agi.security.context import CallContext
from micro_agi.store.database import Database

KEEP = 1000
"""Changes that can be undone, of all workspaces of a user together."""
KEEP_BYTES = 256 << 20
"""Of their contents."""
FORGET_EVERY = 50
"""Looking for what to forget costs a scan of these rows."""

Build = Callable[[bytes | None], bytes]
"""Makes the new content of the old one, None for a new file; raises what is wrong."""


class Changed(Struct, frozen=True, kw_only=True):
    """A file that was changed."""

    before: bytes | None
    after: bytes
    id: int | None
    """Of the record; None when the content was the same already."""


def hash_of(data: bytes | None) -> str:
    """Return the name under which a content is remembered; "" for no file."""
    return "" if data is None else hashlib.sha256(data).hexdigest()


class Changes:
    """The one place where tools write files."""

    def __init__(self, database: Database, *, clock: Callable[[], float], keep: int = KEEP) -> None:
        """Remember the newest `keep` changes."""
        self._keep = keep
        self._database = database
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    async def change(self, place: Place, build: Build, context: CallContext) -> Changed:
        """Replace a file's content by what `build` makes of it, and remember both.

        Raises: what `build` raises; PathRefused, ToolFailed; EntryConflict when somebody else
        changed the file at the same moment.
        """
        tree, parts, shown = place.tree, place.parts, place.shown
        async with self._one_at_a_time:
            before = await asyncio.to_thread(read_whole, tree, parts, shown)
            old = before.data if before else None
            new = await asyncio.to_thread(build, old)
            if new == old:
                return Changed(before=old, after=new, id=None)
            change_id = await self._intend(place, before, new, context)

            async def finish() -> None:
                made = await asyncio.to_thread(put, tree, parts, shown, new, before=before)
                await self._database.write(
                    lambda db: db.execute(
                        "UPDATE workspace_changes SET state = 'done', made = ? WHERE id = ?",
                        (made, change_id),
                    )
                )

            await _to_the_end(finish())
            return Changed(before=old, after=new, id=change_id)

    async def _intend(
        self, place: Place, before: Found | None, new: bytes, context: CallContext
    ) -> int:
        contents = [c for c in (before.data if before else None, new) if c is not None]
        row = (
            *(self._clock(), str(place.tree.root), "/".join(place.parts), context.tool),
            *(hash_of(before.data if before else None), hash_of(new)),
            *(before.mode if before else 0, 0, context.agent, context.session),
            *(context.turn, context.call_id, "intended", context.user),
        )

        def record(db: sqlite3.Connection) -> int:
            for content in contents:
                db.execute(
                    "INSERT OR IGNORE INTO workspace_contents(hash, size, body) VALUES (?, ?, ?)",
                    (hash_of(content), len(content), content),
                )
            number = db.execute(
                "INSERT INTO workspace_changes(at, root, path, tool, before, after, mode, made, "
                "agent, session, turn, call_id, state, user) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            ).lastrowid
            assert number is not None, "an insert has a row"
            if number % FORGET_EVERY == 0:
                _forget(db, self._keep, context.user)
            return number

        return await self._database.write(record, durable=True)


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Do what cannot be stopped half-way; a cancellation counts once it is done."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


def _forget(db: sqlite3.Connection, keep: int, user: str) -> None:
    """Drop a user's oldest changes beyond what is kept, and the contents that nothing names."""
    rows = db.execute(
        "SELECT c.id, coalesce(b.size, 0) + coalesce(a.size, 0) FROM workspace_changes c "
        "LEFT JOIN workspace_contents b ON b.hash = c.before "
        "LEFT JOIN workspace_contents a ON a.hash = c.after WHERE c.user = ? ORDER BY c.id DESC",
        (user,),
    ).fetchall()
    total = 0
    for position, (number, size) in enumerate(rows):
        total += size
        if position and (position >= keep or total > KEEP_BYTES):
            db.execute("DELETE FROM workspace_changes WHERE id <= ? AND user = ?", (number, user))
            break
    db.execute(
        "DELETE FROM workspace_contents WHERE hash NOT IN "
        "(SELECT before FROM workspace_changes UNION SELECT after FROM workspace_changes)"
    )
