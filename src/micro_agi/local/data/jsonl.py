"""JSON Lines: one JSON value in each line. A line that is no JSON is kept, and named."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import msgspec

from micro_agi.errors import InputInvalid
from micro_agi.local.data.budget import Budget
from micro_agi.local.data.records import Counted, Records
from micro_agi.local.data.table import RAGGED_LISTED, Table

LOOK_AT_ROWS = 100
VALUE = "value"
"""Column of values that are no objects."""
BROKEN = "(no JSON)"
"""Column of lines that are none."""
BOM = b"\xef\xbb\xbf"


class JsonLines:
    """Objects of one open file as rows."""

    def __init__(self, file: BinaryIO, *, budget: Budget) -> None:
        """Find out the columns from the first objects.

        Raises: InputInvalid for an empty file.
        """
        start = len(BOM) if file.read(len(BOM)) == BOM else 0
        self._records = Records(file, start=start, quoted=False, budget=budget)
        first = self._records.first(LOOK_AT_ROWS)
        if not first:
            raise InputInvalid("the file is empty", fix="name another file")
        self.columns: tuple[str, ...] = _columns(map(_object, first))

    @property
    def stopped_at(self) -> int | None:
        """Byte at which `rows` gave up because the time was over."""
        return self._records.stopped_at

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._records.size

    def head(self, count: int) -> Table:
        """Return the first rows."""
        return self._table(self._records.first(count))

    def tail(self, count: int) -> Table:
        """Return the last rows, from the end of the file."""
        return self._table(self._records.last(count)[0])

    def sample(self, count: int, seed: int) -> tuple[Table, bool]:
        """Return random rows, and whether each was equally likely."""
        records, fair = self._records.sample(count, seed)
        return self._table(records), fair

    def count(self) -> Counted:
        """Count the rows."""
        return self._records.count()

    def rows(self) -> Iterator[Sequence[Any]]:
        """Yield all rows until the time is over; keys that only later rows have are left out."""
        for record in self._records.forward():
            found = _object(record)
            yield [found.get(name) for name in self.columns]

    def _table(self, records: Sequence[bytes]) -> Table:
        objects = [_object(record) for record in records]
        columns = list(dict.fromkeys([*self.columns, *_columns(objects)]))
        broken = [n for n, found in enumerate(objects, 1) if BROKEN in found]
        notes = [f"line {n} of these is no JSON" for n in broken[:RAGGED_LISTED]]
        if len(broken) > RAGGED_LISTED:
            notes.append(f"{len(broken) - RAGGED_LISTED} more lines are no JSON")
        rows = tuple(tuple(found.get(name) for name in columns) for found in objects)
        return Table(columns=tuple(columns), rows=rows, notes=tuple(notes))


def _object(record: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {BROKEN: record.decode("utf-8", "replace")}
    return value if isinstance(value, dict) else {VALUE: value}


def _columns(objects: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for found in objects for name in found))
