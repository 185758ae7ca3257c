"""`data_view`: look into a table on disk without loading it.

The first and the last rows of a file cost the same whatever its size. What has to read all
of it (shape, describe) does so in bounded memory and time, and says when it did not get
to the end. Files are opened by the workspace, and read by their descriptor.
Source: spec/local-agent.md 7.6.
"""

import asyncio
import os
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol

from micro_agi.errors import InputInvalid, MicroAgiError
from micro_agi.local.data.budget import SECONDS, Budget
from micro_agi.local.data.delimited import Delimited
from micro_agi.local.data.describe import describe
from micro_agi.local.data.jsonl import JsonLines
from micro_agi.local.data.parquet import is_parquet, view_parquet
from micro_agi.local.data.records import Counted
from micro_agi.local.data.table import MOST_COLUMNS, Table, cell, kind_of, kind_of_all, shown
from micro_agi.local.text import LOOK_AT, binary, is_binary
from micro_agi.local.tool import READ, Arguments, LocalTool, parse
from micro_agi.local.workspace import Workspace
from micro_agi.security.context import CallContext
from micro_agi.security.need import Need

TOOL = "local:data_view"
ROWS = 5
MOST_ROWS = 1000
KINDS_FROM = 1000
"""Rows from which the kinds of columns are told."""
EXAMPLES = 2

Operation = Literal["head", "tail", "shape", "columns", "sample", "describe"]
FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
Format = Literal["csv", "tsv", "jsonl", "parquet"]


class DataView(Arguments, frozen=True):
    path: str
    operation: Operation = "head"
    n_rows: int = ROWS
    format: Format | None = None
    delimiter: str = ""
    header: bool | None = None
    seed: int = 0


class Source(Protocol):
    """A table in a text file."""

    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def stopped_at(self) -> int | None: ...
    @property
    def size(self) -> int: ...

    def head(self, count: int) -> Table: ...
    def tail(self, count: int) -> Table: ...
    def sample(self, count: int, seed: int) -> tuple[Table, bool]: ...
    def count(self) -> Counted: ...
    def rows(self) -> Iterator[Sequence[Any]]: ...


def data_view(workspace: Workspace, *, seconds: float = SECONDS) -> LocalTool:
    """Return the tool; `seconds` bounds how long one look reads."""

    def needs(value: Any, _: CallContext) -> list[Need]:
        wanted = parse(value, DataView, TOOL)
        return [Need(action=READ, resource=workspace.place(wanted.path).shown)]

    async def run(value: Any, context: CallContext) -> dict[str, Any]:
        wanted = parse(value, DataView, TOOL)
        place = workspace.place(wanted.path)
        context.require(READ, place.shown)
        _check(wanted)
        opened = workspace.open(place)
        budget = Budget(seconds)
        try:
            # Shielded, since the thread goes on using the descriptor until it notices.
            work = asyncio.ensure_future(
                asyncio.to_thread(_view, opened, place.shown, wanted, budget)
            )
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            budget.drop()
            raise
        except MicroAgiError as error:
            # What reads the bytes does not know whose they are.
            error.where = error.where or place.shown
            raise

    return LocalTool(run=run, needs=needs)


def _check(wanted: DataView) -> None:
    if not 0 <= wanted.n_rows <= MOST_ROWS:
        raise InputInvalid(f"n_rows is {wanted.n_rows}", where=TOOL, fix=f"give 0 to {MOST_ROWS}")
    if len(wanted.delimiter) > 1 or wanted.delimiter in ('"', "\n", "\r"):
        raise InputInvalid(
            f"{wanted.delimiter!r} is no delimiter", where=TOOL, fix="give one character"
        )


def _view(opened: int, shown_path: str, wanted: DataView, budget: Budget) -> dict[str, Any]:
    with os.fdopen(opened, "rb") as file:
        head = file.read(LOOK_AT)
        file.seek(0)
        form = wanted.format or _format(shown_path, head)
        facts = {"path": shown_path, "format": form, "operation": wanted.operation}
        if form == "parquet":
            return facts | view_parquet(
                file, wanted.operation, rows=wanted.n_rows, seed=wanted.seed, budget=budget
            )
        if is_binary(head):
            raise binary(shown_path, head)
        if form == "jsonl":
            lines = JsonLines(file, budget=budget)
            return facts | _answer(lines, wanted)
        table = Delimited(
            file,
            tabs=form == "tsv",
            delimiter=wanted.delimiter,
            header=wanted.header,
            budget=budget,
        )
        answer = facts | _answer(table, wanted)
        notes = [*table.form.notes, *answer.pop("notes", [])]
        return answer | ({"notes": notes} if notes else {})


def _format(path: str, head: bytes) -> str:
    suffix = os.path.splitext(path)[1].lower()
    if is_parquet(head):
        return "parquet"
    if suffix not in FORMATS:
        raise InputInvalid(
            f"`{path}` is no table by its name",
            where=TOOL,
            fix=f"known are {', '.join(FORMATS)}; give `format` for another name",
        )
    return FORMATS[suffix]


def _answer(source: Source, wanted: DataView) -> dict[str, Any]:
    match wanted.operation:
        case "head":
            return shown(source.head(wanted.n_rows))
        case "tail":
            return shown(source.tail(wanted.n_rows), keep="last")
        case "sample":
            table, fair = source.sample(wanted.n_rows, wanted.seed)
            answer = shown(table)
            if not fair:
                said = "rows behind random places of the file: those after long rows are likelier"
                answer["notes"] = [*answer.get("notes", []), said]
            return answer
        case "shape":
            return _shape(source)
        case "columns":
            return _columns(source)
        case "describe":
            return _describe(source)


def _shape(source: Source) -> dict[str, Any]:
    counted = source.count()
    facts: dict[str, Any] = {"rows": counted.records, "columns": len(source.columns)}
    facts |= {"names": [cell(name) for name in source.columns[:MOST_COLUMNS]]}
    facts |= {"bytes": source.size}
    if not counted.complete:
        part = counted.bytes_read / source.size
        facts["notes"] = [
            f"the time was over after {part:.0%} of the file: `rows` are those counted so far, "
            f"about {round(counted.records / part):,} in all"
        ]
    return facts


def _columns(source: Source) -> dict[str, Any]:
    table = source.head(KINDS_FROM)
    found = []
    for number, name in enumerate(table.columns[:MOST_COLUMNS]):
        values = [row[number] for row in table.rows]
        filled = [cell(v) for v in values if kind_of(v) != "empty"]
        found.append(
            {
                "name": cell(name),
                "kind": kind_of_all({kind_of(value) for value in values}),
                "missing": len(values) - len(filled),
                "examples": list(dict.fromkeys(map(str, filled)))[:EXAMPLES],
            }
        )
    notes = list(table.notes)
    if len(table.columns) > MOST_COLUMNS:
        notes.append(f"the first {MOST_COLUMNS} of {len(table.columns)} columns")
    facts = {"columns": found, "from_rows": len(table.rows)}
    return facts | ({"notes": notes} if notes else {})


def _describe(source: Source) -> dict[str, Any]:
    total, columns = describe(source.columns, source.rows())
    facts: dict[str, Any] = {"rows": total, "columns": [c.facts() for c in columns]}
    notes = []
    if source.stopped_at is not None:
        part = source.stopped_at / source.size
        notes.append(f"the time was over: this describes the first {part:.0%} of the file")
    if len(source.columns) > MOST_COLUMNS:
        notes.append(f"the first {MOST_COLUMNS} of {len(source.columns)} columns")
    return facts | ({"notes": notes} if notes else {})
