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

    async def shown(self, text: str) -> str:
        """Return `text` itself when it fits, else its head and tail around a handle."""
        body = text.encode()
        if len(body) <= self._limit:
            return text
        keep = self._limit // 2
        head = body[:keep].decode(errors="ignore")
        tail = body[-keep // 2 :].decode(errors="ignore")
        return head + await self._kept(body) + tail

    async def cut(self, text: str, length: int) -> str:
        """Return head and tail of `text` around a handle, `length` characters in all."""
        if len(text) <= length:
            return text
        note = await self._kept(text.encode())
        room = max(0, length - len(note))
        tail = room // 3
        return text[: room - tail] + note + (text[-tail:] if tail else "")

    async def _kept(self, body: bytes) -> str:
        """Store a result and return the note that stands for what is left out."""
        handle = hashlib.sha256(body).hexdigest()[:16]
        await self._database.write(
            lambda db: db.execute(
                "INSERT OR IGNORE INTO blobs(hash, size, body) VALUES (?, ?, ?)",
                (handle, len(body), body),
            )
        )
        return (
            f"\n… [{len(body)} bytes in all; {MARK} {handle}: "
            f"read_result with this handle gives any part] …\n"
        )

    async def page(self, arguments: Any, _: CallContext) -> dict[str, Any]:
        """Return one page of a stored result: the native function behind `system:read_result`.

        Shape: `arguments` has `handle` and optionally `offset` in characters.
        Raises: EntryNotFound for an unknown handle.
        """
        handle = str(arguments.get("handle", ""))
        offset = max(0, int(arguments.get("offset") or 0))
        row = await self._database.read(
            lambda db: db.execute("SELECT body FROM blobs WHERE hash = ?", (handle,)).fetchone()
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
