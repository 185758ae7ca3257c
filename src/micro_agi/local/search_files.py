"""`search_files`: lines that hold a text or match a regular expression.

Expressions are RE2: linear in what they search, so none of them can hang. Files are read in
blocks, whatever their size; binary ones, links and what looks like a credential are passed over.
"""

import asyncio
import os
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO

import re2

from micro_agi.errors import ArgumentsInvalid, EntryNotFound, MicroAgiError, PathRefused
from micro_agi.local.list_files import shown_path
from micro_agi.local.text import LOOK_AT, is_binary
from micro_agi.local.tool import READ, Arguments, LocalTool, parse
from micro_agi.local.walk import Walk, Wanted, glob_matcher
from micro_agi.local.workspace import Place, Workspace
from micro_agi.security.context import CallContext
from micro_agi.security.need import Need

TOOL = "local:search_files"
DEFAULT_LIMIT = 100
BLOCK_BYTES = 1 << 20
LINE_BYTES = 300
"""Shown of a matching line, around the match."""
PROGRAM_BYTES = 8 << 20
"""Memory of a compiled expression."""


class SearchFiles(Arguments, frozen=True):
    pattern: str
    path: str = "."
    glob: str = ""
    regex: bool = False
    ignore_case: bool = False
    all: bool = False
    limit: int = DEFAULT_LIMIT


def search_files(workspace: Workspace) -> LocalTool:
    """Return the tool."""

    def needs(value: Any, _: CallContext) -> list[Need]:
        wanted = parse(value, SearchFiles, TOOL)
        return [Need(action=READ, resource=workspace.place(wanted.path).resource)]

    async def run(value: Any, context: CallContext) -> dict[str, Any]:
        wanted = parse(value, SearchFiles, TOOL)
        place = workspace.place(wanted.path)
        context.require(READ, place.resource)
        expression = _compiled(wanted)
        walk = Walk(
            place,
            Wanted(everything=wanted.all, matches=glob_matcher(wanted.glob, TOOL)),
            threading.Event(),
        )
        search = _Search(workspace, walk, expression, wanted.limit)
        try:
            return await asyncio.to_thread(search.run)
        finally:
            walk.cancelled.set()

    return LocalTool(run=run, needs=needs)


def _compiled(wanted: SearchFiles) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not wanted.ignore_case
    options.max_mem = PROGRAM_BYTES
    text = wanted.pattern if wanted.regex else re2.escape(wanted.pattern)
    if not wanted.pattern:
        raise ArgumentsInvalid("`pattern` is empty", where=TOOL, fix="say what to look for")
    try:
        # A dot does not match a line end, and `^` and `$` are those of lines.
        return re2.compile(f"(?m){text}".encode(), options)
    except re2.error as error:
        raise ArgumentsInvalid(
            f"`{wanted.pattern}` is no regular expression: {_said(error)}",
            where=TOOL,
            fix="write RE2 syntax (no look-ahead, no back-references), or leave `regex` out",
        ) from error


def _said(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


class _Search:
    """One search on its way through the tree."""

    def __init__(self, workspace: Workspace, walk: Walk, expression: Any, limit: int) -> None:
        self._workspace = workspace
        self._walk = walk
        self._expression = expression
        self._limit = limit
        self._matches: list[dict[str, Any]] = []
        self._files = 0
        self._passed: dict[str, int] = {}

    def run(self) -> dict[str, Any]:
        more = self._one_file() if self._is_file() else self._tree()
        result: dict[str, Any] = {"matches": self._matches, "files_searched": self._files}
        if more:
            result["more"] = f"only the first {self._limit} are here: narrow it by path or glob"
        if self._passed:
            result["passed_over"] = self._passed
        if self._walk.stopped:
            result["stopped"] = self._walk.stopped
        return result

    def _is_file(self) -> bool:
        place = self._walk.place
        try:
            os.close(place.tree.directory(place.parts))
        except NotADirectoryError:
            return True
        except OSError as error:
            raise self._workspace.failure(place, error) from error
        return False

    def _one_file(self) -> bool:
        place = self._walk.place
        with os.fdopen(self._workspace.open(place), "rb") as file:
            return self._file(file, place.shown)

    def _tree(self) -> bool:
        for item in self._walk.items():
            if item.kind != "file":
                continue
            if item.closed:
                self._pass("credentials")
                continue
            place = self._walk.place
            at = Place(
                tree=place.tree,
                parts=item.parts,
                shown=shown_path(place, item.parts),
                writable=place.writable,
            )
            try:
                opened = self._workspace.open(at)
            except EntryNotFound:
                continue  # gone since it was listed
            except PathRefused:
                self._pass("links")
                continue
            except MicroAgiError:
                self._pass("unreadable")
                continue
            with os.fdopen(opened, "rb") as file:
                if self._file(file, at.shown):
                    return True
        return False

    def _pass(self, why: str) -> None:
        self._passed[why] = self._passed.get(why, 0) + 1

    def _file(self, file: BinaryIO, shown: str) -> bool:
        """Search one file; whether there are more matches than are wanted."""
        if is_binary(file.read(LOOK_AT)):
            self._pass("binary")
            return False
        file.seek(0)
        self._files += 1
        line = 1
        for block in _blocks(file):
            counted = 0
            for start, end in _found(self._expression, block):
                if len(self._matches) == self._limit:
                    return True
                line += block.count(b"\n", counted, start)
                counted = start
                self._matches.append(
                    {"path": shown, "line": line, "text": _around(block, start, end)}
                )
            line += block.count(b"\n", counted)
            if self._walk.cancelled.is_set():
                break
        return False


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield a file in pieces that end with a line, or after a megabyte without one."""
    while block := file.read(BLOCK_BYTES):
        if not block.endswith(b"\n"):
            block += file.readline(BLOCK_BYTES)
        yield block


def _found(expression: Any, block: bytes) -> Iterator[tuple[int, int]]:
    """Yield the first match of each line that has one."""
    at = 0
    while at <= len(block):
        match = expression.search(block, at)
        if match is None:
            return
        start, end = match.span()
        if start == len(block) and block.endswith(b"\n"):
            return  # the empty line behind the last one
        yield start, end
        newline = block.find(b"\n", start)
        if newline < 0:
            return
        at = newline + 1


def _around(block: bytes, start: int, end: int) -> str:
    """Return the line of a match, cut around it when it is long."""
    first = block.rfind(b"\n", 0, start) + 1
    last = block.find(b"\n", start)
    last = len(block) if last < 0 else last
    if last - first <= LINE_BYTES:
        return block[first:last].decode("utf-8", "replace").rstrip("\r")
    middle = (start + min(end, start + LINE_BYTES)) // 2
    low = max(first, middle - LINE_BYTES // 2)
    high = min(last, low + LINE_BYTES)
    shown = block[low:high].decode("utf-8", "replace").strip("\ufffd\r")
    return ("…" if low > first else "") + shown + ("…" if high < last else "")
