"""Results too large for a model's window: stored once, shown as head and tail, paged.

The store is content-addressed, so the same result twice costs one row. The handle is the
first 16 hexadecimal digits of the hash; `system:read_result` reads a page of it.
"""

import hashlib
from typing import Any

from micro_agi.errors import EntryNotFound
from micro_agi.security.context import CallContext
from micro_agi.store.database import Database

PAGE_CHARS = 8000
MARK = "result_handle"
READ_RESULT = "system:read_result"
"""The tool that pages stored results; a session loads it with the first such result."""


class Results:
    """Stores large results and reads them back."""

    def __init__(self, database: Database, *, limit_bytes: int) -> None:
        self._database = database
        self._limit = limit_bytes

    async def shown(self, text: str, *, user: str = "") -> str:
        """Return `text` itself when it fits, else its head and tail around a handle.

        Only calls for the same `user` can read by that handle.
        """
        body = text.encode()
        if len(body) <= self._limit:
            return text
        handle = hashlib.sha256(body).hexdigest()[:16]
        await self._database.write(
            lambda db: db.execute(
                "INSERT OR IGNORE INTO blobs(hash, size, body) VALUES (?, ?, ?)",
                (_key(handle, user), len(body), body),
            )
        )
        keep = self._limit // 2
        head = body[:keep].decode(errors="ignore")
        tail = body[-keep // 2 :].decode(errors="ignore")
        note = (
            f"\n… [{len(body)} bytes in all; {MARK} {handle}: "
            f"read_result with this handle gives any part] …\n"
        )
        return head + note + tail

    async def page(self, arguments: Any, context: CallContext) -> dict[str, Any]:
        """Return one page of a stored result: the native function behind `system:read_result`.

        Shape: `arguments` has `handle` and optionally `offset` in characters.
        Raises: EntryNotFound for an unknown handle.
        """
        handle = str(arguments.get("handle", ""))
        offset = max(0, int(arguments.get("offset") or 0))
        key = _key(handle, context.user)
        row = await self._database.read(
            lambda db: db.execute("SELECT body FROM blobs WHERE hash = ?", (key,)).fetchone()
        )
        if row is None:
            raise EntryNotFound(
                f"no stored result has the handle `{handle}`",
                where=READ_RESULT,
                fix=f"use the 16 digits after `{MARK}` in a shortened result",
            )
        text = row[0].decode()
        page = text[offset : offset + PAGE_CHARS]
        after = offset + len(page)
        rest = {"next_offset": after} if after < len(text) else {}
        return {"text": page, "offset": offset, "total_chars": len(text), **rest}


def _key(handle: str, user: str) -> str:
    """Return what a result is stored under: knowing its content is no way to another user's."""
    return f"{user}/{handle}" if user else handle
