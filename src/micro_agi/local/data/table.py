"""What one look at a data file gives: columns, rows, and what is worth knowing about both. Pure.

Cells and rows are cut so that the answer fits into one result; each cut is said.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

CELL_CHARS = 200
MOST_COLUMNS = 100
RESULT_CHARS = 24_000
"""Of all cells together: below what results of tools are cut at."""
RAGGED_LISTED = 5

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}.*)?")
_NUMERIC = frozenset("0123456789+-.")
_TRUTH = frozenset({"true", "false"})


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Some rows of a file."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    """Cells are texts in CSV, JSON values in the rest; None where a row has none."""
    notes: tuple[str, ...] = ()


def shown(table: Table, *, keep: Literal["first", "last"] = "first") -> dict[str, Any]:
    """Return a table for the model: cut to what fits, with a note for each thing left out.

    `keep` says which rows stay when not all of them fit.
    """
    notes = list(table.notes)
    columns = [cell(name) for name in table.columns[:MOST_COLUMNS]]
    if len(table.columns) > MOST_COLUMNS:
        notes.append(f"the first {MOST_COLUMNS} of {len(table.columns)} columns")
    rows: list[list[Any]] = []
    left = RESULT_CHARS - sum(map(len, columns))
    for row in table.rows if keep == "first" else reversed(table.rows):
        cut = [cell(value) for value in row[:MOST_COLUMNS]]
        left -= sum(len(value) if isinstance(value, str) else 8 for value in cut) + 3 * len(cut)
        if left < 0 and rows:
            notes.append(f"the {keep} {len(rows)} of {len(table.rows)} rows: more do not fit")
            break
        rows.append(cut)
    if keep == "last":
        rows.reverse()
    return {"columns": columns, "rows": rows, **({"notes": notes} if notes else {})}


def cell(value: Any) -> Any:
    """Return a cell as it is shown: long texts cut, with how much is missing."""
    if isinstance(value, dict | list):
        value = msgspec.json.encode(value).decode()
    if isinstance(value, str) and len(value) > CELL_CHARS:
        return f"{value[:CELL_CHARS]}…(+{len(value) - CELL_CHARS})"
    return value


def even(columns: Sequence[str], rows: Iterable[Sequence[str]], *, first: int | None) -> Table:
    """Bring rows to the length of the header, and say which ones had another.

    `first` is the number of the first row in the file, counted from 1; None when unknown.
    """
    ragged: list[str] = []
    found: list[tuple[Any, ...]] = []
    for number, row in enumerate(rows):
        if len(row) != len(columns):
            at = f"row {first + number}" if first is not None else f"row {number + 1} of these"
            ragged.append(f"{at} has {len(row)} cells, the header {len(columns)}")
        found.append((*row, *[None] * (len(columns) - len(row))))
    more = len(ragged) - RAGGED_LISTED
    notes = ragged[:RAGGED_LISTED] + ([f"{more} more rows of another length"] if more > 0 else [])
    return Table(columns=tuple(columns), rows=tuple(found), notes=tuple(notes))


def kind_of(value: Any) -> str:
    """Return what a cell looks like: empty, integer, number, boolean, date, text, or JSON's own.

    >>> [kind_of(v) for v in ("7", "7.5e3", "true", "2026-11-21", "x", "", None, True, [1])]
    ['integer', 'number', 'boolean', 'date', 'text', 'empty', 'empty', 'boolean', 'list']
    """
    if value is None or value == "":
        return "empty"
    if isinstance(value, str):
        return _kind_of_text(value.strip())
    kinds = {bool: "boolean", int: "integer", float: "number", list: "list", dict: "object"}
    return kinds.get(type(value), "text")


def _kind_of_text(text: str) -> str:
    if not text:
        return "empty"
    if text[0] not in _NUMERIC:  # most cells: spares them the patterns
        return "boolean" if text.lower() in _TRUTH else "text"
    if _INTEGER.fullmatch(text):
        return "integer"
    if _NUMBER.fullmatch(text):
        return "number"
    if _DATE.fullmatch(text):
        return "date"
    return "text"


def kind_of_all(kinds: set[str]) -> str:
    """Return the kind of a column from those of its cells."""
    filled = kinds - {"empty"}
    if len(filled) == 1:
        return filled.pop()
    if filled == {"integer", "number"}:
        return "number"
    return "mixed" if filled else "empty"
