"""Texts too large for a model's window: stored once, shown as head and tail, read in pages.

Results of tools, and the parts of a conversation that were compacted. The store is
content-addressed, so the same text twice costs one row, and belongs to the sessions that
refer to it: only they can read it, and it goes with the last of them (`store/blobs.py`).
The handle is the first 16 hexadecimal digits of the hash; `system:read_result` reads a
page of a result, `system:recall` one of an earlier part of the conversation.
"""

import re
from itertools import islice
from typing import Any

from micro_agi.errors import EntryNotFound
from micro_agi.security.context import CallContext
from micro_agi.store import blobs
from micro_agi.store.database import Database

HANDLE_CHARS = blobs.HANDLE_CHARS
PAGE_CHARS = 8000
MARK = "result_handle"
READ_RESULT = "system:read_result"
"""The tool that pages stored results; a session loads it with the first such result."""
RECALL = "system:recall"
"""The tool that pages what a compaction took away; loaded with the first compaction."""
MAX_FOUND = 20
AROUND_CHARS = 200
"""Shown on each side of a text that was looked for."""


class Results:
    """Stores large results and reads them back."""

    def __init__(self, database: Database, *, limit_bytes: int) -> None:
        self._database = database
        self._limit = limit_bytes

    async def shown(self, text: str, *, session: str = "") -> str:
        """Return `text` itself when it fits, else its head and tail around a handle.

        What does not fit is stored as a session's; without one, until a session is deleted.
        """
        shown = self.preview(text)
        if shown is not text:
            body = text.encode()
            await self._database.write(
                lambda db: blobs.put(db, session, [(blobs.blob_hash(body), body)])
            )
        return shown

    async def cut(self, text: str, length: int, *, session: str = "") -> str:
        """Return head and tail of `text` around a handle, `length` characters in all."""
        if len(text) <= length:
            return text
        body = text.encode()
        await self._database.write(
            lambda db: blobs.put(db, session, [(blobs.blob_hash(body), body)])
        )
        note = _note(body)
        room = max(0, length - len(note))
        tail = room // 3
        return text[: room - tail] + note + (text[-tail:] if tail else "")

    async def shown_to(self, text: str, context: CallContext) -> str:
        """Do what `shown` does, for whom a call is."""
        return await self.shown(text, session=owner(context))

    def preview(self, text: str) -> str:
        """Return what `shown` does, and store nothing."""
        if len(text) * 4 <= self._limit or len(text.encode()) <= self._limit:
            return text
        return shortened(text, self._limit)

    async def page(self, arguments: Any, context: CallContext) -> dict[str, Any]:
        """Return one page of a stored text: behind `system:read_result` and `system:recall`.

        Shape: `arguments` has `handle` and optionally `offset` in characters, or `find`, a
        text whose places are returned instead of a page.
        Raises: EntryNotFound for a handle that nothing of this session has.
        """
        handle = str(arguments.get("handle", "")).lower()
        session = None if context.root and not context.user else owner(context)
        body = None
        if len(handle) >= HANDLE_CHARS:
            body = await self._database.read(lambda db: blobs.get(db, handle, session=session))
        if body is None:
            raise EntryNotFound(
                f"nothing is stored in this session under the handle `{handle}`",
                where=context.tool or READ_RESULT,
                fix=f"use the {HANDLE_CHARS} digits exactly as they were shown",
            )
        text = body.decode()
        wanted = str(arguments.get("find") or "")
        if wanted:
            return _places(text, wanted)
        offset = max(0, int(arguments.get("offset") or 0))
        page = text[offset : offset + PAGE_CHARS]
        after = offset + len(page)
        rest = {"next_offset": after} if after < len(text) else {}
        return {"text": page, "offset": offset, "total_chars": len(text), **rest}


def owner(context: CallContext) -> str:
    """Return whom a stored text belongs to: a session, else a user's calls outside of any."""
    return context.session or (f"{context.user}/" if context.user else "")


def shortened(text: str, limit_bytes: int) -> str:
    """Return the head and the tail of a text, with its size and handle between them."""
    body = text.encode()
    keep = limit_bytes // 2
    head = body[:keep].decode(errors="ignore")
    tail = body[-keep // 2 :].decode(errors="ignore")
    return head + _note(body) + tail


def _note(body: bytes) -> str:
    """Return what stands for the part of a text that is left out."""
    handle = blobs.blob_hash(body)[:HANDLE_CHARS]
    return (
        f"\n… [{len(body)} bytes in all; {MARK} {handle}: "
        f"read_result with this handle gives any part] …\n"
    )


def _places(text: str, wanted: str) -> dict[str, Any]:
    """Return where a text occurs, in any case, each place with what stands around it."""
    matches = list(islice(re.finditer(re.escape(wanted), text, re.IGNORECASE), MAX_FOUND + 1))
    found = [
        {
            "offset": match.start(),
            "text": text[max(0, match.start() - AROUND_CHARS) : match.end() + AROUND_CHARS],
        }
        for match in matches[:MAX_FOUND]
    ]
    more = {"more": True} if len(matches) > MAX_FOUND else {}
    return {"found": found, "total_chars": len(text), **more}
