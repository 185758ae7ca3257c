"""`write_file`: a whole file, new or rewritten, in one step that can be undone."""

import hashlib
from typing import Any

from micro_agi.errors import EntryConflict
from micro_agi.local.changes import Changed, Changes
from micro_agi.local.difference import unified
from micro_agi.local.text import Text, decode, is_binary
from micro_agi.local.tool import Arguments, LocalTool, parse, require
from micro_agi.local.workspace import Place, Workspace
from micro_agi.security.context import CallContext
from micro_agi.security.need import Need

TOOL = "local:write_file"
HASH_DIGITS = 12
"""Of a file's hash as read_file shows it."""


class WriteFile(Arguments, frozen=True):
    path: str
    content: str
    expected_hash: str = ""


def write_file(workspace: Workspace, changes: Changes) -> LocalTool:
    """Return the tool."""

    def needs(value: Any, _: CallContext) -> list[Need]:
        wanted = parse(value, WriteFile, TOOL)
        return workspace.to_write(workspace.file_place(wanted.path), _size(wanted))

    async def run(value: Any, context: CallContext) -> dict[str, Any]:
        wanted = parse(value, WriteFile, TOOL)
        place = workspace.file_place(wanted.path)
        require(workspace.to_write(place), context)

        def build(before: bytes | None) -> bytes:
            require_hash(before, wanted.expected_hash, place)
            return _like(before, wanted.content)

        return described(await changes.change(place, build, context), place)

    return LocalTool(run=run, needs=needs)


def require_hash(before: bytes | None, expected: str, place: Place) -> None:
    """Return quietly if the file is the one that was read, or nothing was said about it.

    Raises: EntryConflict.
    """
    if not expected:
        return
    found = hashlib.sha256(before).hexdigest() if before is not None else ""
    if not found.startswith(expected):
        is_now = f"has hash {found[:HASH_DIGITS]}" if found else "is not there"
        raise EntryConflict(
            f"`{place.shown}` {is_now}, and {expected} was expected",
            where=place.shown,
            fix="read it again, then decide",
        )


def described(changed: Changed, place: Place) -> dict[str, Any]:
    """Return what a model is told about a change."""
    facts = facts_of(changed, place)
    if changed.id is None or changed.before is None:
        return facts
    return {**facts, "diff": _difference(changed.before, changed.after, place)}


def facts_of(changed: Changed, place: Place) -> dict[str, Any]:
    """Return what is true of every change, without its difference."""
    facts: dict[str, Any] = {
        "path": place.shown,
        "bytes": len(changed.after),
        "hash": hashlib.sha256(changed.after).hexdigest()[:HASH_DIGITS],
    }
    if changed.id is None:
        return {**facts, "unchanged": True}
    if changed.before is None:
        return {**facts, "created": True}
    return facts


def _difference(before: bytes, after: bytes, place: Place) -> str:
    if is_binary(before):
        return f"{len(before)} bytes of binary data became text"
    return unified(decode(before, place.shown).text, decode(after, place.shown).text, place.shown)


def _like(before: bytes | None, content: str) -> bytes:
    """Encode new content; a file that ends its lines with CRLF, or has a mark, goes on so."""
    if before is None or is_binary(before):
        return content.encode()
    old = decode(before, "")
    if old.newline == "\r\n" and "\r" not in content:
        content = content.replace("\n", "\r\n")
    utf = old.encoding.startswith("utf-")
    return (old if utf else Text(text="", encoding="utf-8")).bytes_with(content)


def _size(wanted: WriteFile) -> str:
    return f"{len(wanted.content.encode()):,} bytes in {wanted.content.count(chr(10)) + 1} lines"
