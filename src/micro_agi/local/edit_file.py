"""`edit_file`: replace an exact piece of text, and nothing else.

The piece has to be there once, or `all` says that every occurrence is meant: an edit in the
wrong place is worse than an error. Encoding, byte order mark and line endings stay.
"""

import difflib
from typing import Any

from micro_agi.errors import ToolFailed
from micro_agi.local.changes import Changes
from micro_agi.local.text import Text, decode
from micro_agi.local.tool import Arguments, LocalTool, parse, require
from micro_agi.local.workspace import Place, Workspace
from micro_agi.local.write_file import described, require_hash
from micro_agi.security.context import CallContext
from micro_agi.security.need import Need

TOOL = "local:edit_file"
LISTED = 10
SEARCHED_LINES = 20_000
"""Looked through for the line most like one that was not found."""


class EditFile(Arguments, frozen=True):
    path: str
    old: str
    new: str
    all: bool = False
    expected_hash: str = ""


def edit_file(workspace: Workspace, changes: Changes) -> LocalTool:
    """Return the tool."""

    def needs(value: Any, _: CallContext) -> list[Need]:
        wanted = parse(value, EditFile, TOOL)
        return workspace.to_write(workspace.file_place(wanted.path))

    async def run(value: Any, context: CallContext) -> dict[str, Any]:
        wanted = parse(value, EditFile, TOOL)
        place = workspace.file_place(wanted.path)
        require(workspace.to_write(place), context)
        replaced = 0

        def build(before: bytes | None) -> bytes:
            nonlocal replaced
            if before is None:
                raise workspace.not_found(place)
            require_hash(before, wanted.expected_hash, place)
            text = decode(before, place.shown)
            new, replaced = _edited(text, wanted, place)
            return text.bytes_with(new)

        changed = await changes.change(place, build, context)
        return {**described(changed, place), "replaced": replaced}

    return LocalTool(run=run, needs=needs)


def _edited(text: Text, wanted: EditFile, place: Place) -> tuple[str, int]:
    """Return the new text and how often the piece was replaced.

    Raises: ToolFailed when the piece is empty, not there, or there more than once.
    """
    old, new = wanted.old, wanted.new
    if not old:
        raise ToolFailed(
            "`old` is empty",
            where=place.shown,
            fix="name the text to replace; write_file makes files",
        )
    if old not in text.text and "\r" not in old and "\r\n" in text.text:
        # A model sees and writes plain line ends; the file's own are kept.
        old, new = old.replace("\n", "\r\n"), new.replace("\r\n", "\n").replace("\n", "\r\n")
    count = text.text.count(old)
    if count == 0:
        raise ToolFailed(
            f"`old` is not in `{place.shown}`",
            where=place.shown,
            fix=_nearest(text.text, wanted.old),
        )
    if count > 1 and not wanted.all:
        raise ToolFailed(
            f"`old` is in `{place.shown}` {count} times: {_lines(text.text, old)}",
            where=place.shown,
            fix="give more of the lines around it, or set `all` to replace every one",
        )
    return text.text.replace(old, new), count


def _lines(text: str, piece: str) -> str:
    """Name the lines where a piece begins."""
    found: list[str] = []
    at = text.find(piece)
    line, counted = 1, 0
    while at >= 0 and len(found) < LISTED:
        line += text.count("\n", counted, at)
        counted = at
        found.append(str(line))
        at = text.find(piece, at + len(piece))
    return f"line{'s' if len(found) > 1 else ''} {', '.join(found)}{', …' if at >= 0 else ''}"


def _nearest(text: str, wanted: str) -> str:
    """Say what in the file is most like the first line that was looked for."""
    first = next((line for line in wanted.splitlines() if line.strip()), "").strip()
    lines = text.splitlines()[:SEARCHED_LINES]
    for number, line in enumerate(lines, 1):
        if line.strip() == first:
            return (
                f"line {number} is that text but for spaces, or what follows differs: "
                "read the file, and copy it exactly"
            )
    near = difflib.get_close_matches(first, [line.strip() for line in lines[:2000]], n=1)
    if near:
        number = next(n for n, line in enumerate(lines, 1) if line.strip() == near[0])
        return f"line {number} is most like it: {near[0][:200]}"
    return "read the file, and copy the text exactly"
