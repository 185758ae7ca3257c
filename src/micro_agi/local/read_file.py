"""`read_file`: some lines of a text file.

What is limited is the slice, not the file: of a file of gigabytes the first lines cost what
those of a small one do. The header says what was given and how to get the rest.
"""

import asyncio
import hashlib
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

from msgspec import Struct

from micro_agi.errors import InputInvalid
from micro_agi.local.text import LOOK_AT, binary, decode, encoding_of, is_binary
from micro_agi.local.tool import READ, Arguments, LocalTool, parse
from micro_agi.local.workspace import Place, Workspace
from micro_agi.security.context import CallContext
from micro_agi.security.need import Need

TOOL = "local:read_file"
DEFAULT_LINES = 200
SLICE_BYTES = 24_000
"""Of text in one result: below what results are cut at, so a slice comes whole."""
LINE_CHARS = 2000
"""Of one line among others; one that is asked for alone comes whole."""
ALONE_BYTES = 1 << 20
WHOLE_BYTES = 8 << 20
"""Files up to this size are counted and hashed."""


class ReadFile(Arguments, frozen=True):
    path: str
    start_line: int = 1
    end_line: int | None = None


class Slice(Struct, frozen=True, kw_only=True):
    """Lines of a file."""

    lines: tuple[str, ...]
    start: int
    total: int | None
    """None for a file too large to count."""
    facts: str
    more: bool


def read_file(workspace: Workspace) -> LocalTool:
    """Return the tool."""

    def needs(value: Any, _: CallContext) -> list[Need]:
        wanted = parse(value, ReadFile, TOOL)
        return [Need(action=READ, resource=workspace.place(wanted.path).resource)]

    async def run(value: Any, context: CallContext) -> str:
        wanted = parse(value, ReadFile, TOOL)
        place = workspace.place(wanted.path)
        context.require(READ, place.resource)
        _check_range(wanted)
        return await asyncio.to_thread(_read, workspace, place, wanted)

    return LocalTool(run=run, needs=needs)


def _check_range(wanted: ReadFile) -> None:
    end = wanted.end_line
    if wanted.start_line < 1 or (end is not None and end < wanted.start_line):
        raise InputInvalid(
            f"lines {wanted.start_line} to {end if end is not None else 'the end'} are no range",
            where=TOOL,
            fix="count lines from 1, and end where you begin or later",
        )


def _read(workspace: Workspace, place: Place, wanted: ReadFile) -> str:
    with os.fdopen(workspace.open(place), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(LOOK_AT)
        if is_binary(head):
            raise binary(place.shown, head)
        file.seek(0)
        cut = _of_whole(file, place, wanted) if size <= WHOLE_BYTES else _of_large(file, wanted)
    return _shown(place, cut, wanted, size)


def _of_whole(file: BinaryIO, place: Place, wanted: ReadFile) -> Slice:
    data = file.read(WHOLE_BYTES + 1)
    text = decode(data, place.shown)
    lines = text.text.split("\n")
    if lines[-1] == "":
        lines.pop()
    start = wanted.start_line
    asked = lines[start - 1 : _end(wanted)]
    taken = _fitting(iter(asked), alone=_alone(wanted))
    newline = {"\n": "", "\r\n": ", CRLF lines", "mixed": ", mixed line endings"}[text.newline]
    mark = ", byte order mark" if text.bom else ""
    digest = hashlib.sha256(data).hexdigest()[:12]
    return Slice(
        lines=taken,
        start=start,
        total=len(lines),
        facts=f"{text.encoding}{mark}{newline}, hash {digest}",
        more=start - 1 + len(taken) < len(lines),
    )


def _of_large(file: BinaryIO, wanted: ReadFile) -> Slice:
    """Read up to the lines that are asked for, and no further."""
    encoding, bom = encoding_of(file.read(LOOK_AT))
    if encoding.startswith("utf-16"):
        raise InputInvalid(
            "a file of that size is read as UTF-8 only, and it is UTF-16",
            where=wanted.path,
            fix="convert it first: iconv -f utf-16 -t utf-8",
        )
    file.seek(len(bom))
    for _ in range(wanted.start_line - 1):
        if not _skip_line(file):
            break
    count = _end(wanted) - wanted.start_line + 1
    limit = ALONE_BYTES if _alone(wanted) else 4 * LINE_CHARS

    def lines() -> Iterator[str]:
        for _ in range(count):
            raw = file.readline(limit)
            if not raw:
                return
            if not raw.endswith(b"\n") and len(raw) == limit:
                _skip_line(file)
            yield raw.decode(encoding, "replace").removesuffix("\n")

    taken = _fitting(lines(), alone=_alone(wanted))
    return Slice(lines=taken, start=wanted.start_line, total=None, facts=encoding, more=bool(taken))


def _skip_line(file: BinaryIO) -> bool:
    """Go to the next line; False at the end of the file."""
    while True:
        raw = file.readline(1 << 20)
        if not raw:
            return False
        if raw.endswith(b"\n"):
            return True


def _end(wanted: ReadFile) -> int:
    return wanted.end_line or wanted.start_line + DEFAULT_LINES - 1


def _alone(wanted: ReadFile) -> bool:
    return wanted.end_line == wanted.start_line


def _fitting(lines: Iterator[str], *, alone: bool) -> tuple[str, ...]:
    """Take the lines that fit into one result, the first in any case."""
    taken: list[str] = []
    size = 0
    for line in lines:
        plain = line.removesuffix("\r")
        if not alone and len(plain) > LINE_CHARS:
            plain = f"{plain[:LINE_CHARS]}… [the line is longer: ask for it alone]"
        size += len(plain.encode()) + 1
        if taken and size > SLICE_BYTES:
            break
        taken.append(plain)
    return tuple(taken)


def _shown(place: Place, cut: Slice, wanted: ReadFile, size: int) -> str:
    of = f" of {cut.total}" if cut.total is not None else ""
    facts = f"({cut.facts}, {size:,} bytes)"
    if not cut.lines:
        said = "empty" if cut.total == 0 else f"no line {wanted.start_line}{of and ',' + of}"
        return f"{place.shown}: {said} {facts}"
    last = cut.start + len(cut.lines) - 1
    head = f"{place.shown}: lines {cut.start}-{last}{of} {facts}"
    rest = f"\n… [go on with start_line {last + 1}]" if cut.more else ""
    return "\n".join([head, *cut.lines]) + rest
