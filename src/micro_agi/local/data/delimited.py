"""CSV and TSV: which delimiter, quoting, encoding and header a file has, and its rows.

What the file is, is found out from its beginning; all that is guessed is said. Cells stay
texts. A row of another length than the header is kept and named, never an error.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from msgspec import Struct

from micro_agi.errors import InputInvalid
from micro_agi.local.data.budget import Budget
from micro_agi.local.data.records import MAX_RECORD, Counted, Records
from micro_agi.local.data.table import Table, even, kind_of
from micro_agi.local.text import encoding_of

LOOK_AT = 64 << 10
LOOK_AT_ROWS = 50
DELIMITERS = (",", ";", "\t", "|")


class Form(Struct, frozen=True, kw_only=True):
    """How a file is written."""

    delimiter: str
    quoted: bool
    encoding: str
    columns: tuple[str, ...]
    header: bool
    """Whether the first record holds the names."""
    notes: tuple[str, ...]


class Delimited:
    """Rows of one open file."""

    def __init__(
        self, file: BinaryIO, *, tabs: bool, delimiter: str, header: bool | None, budget: Budget
    ) -> None:
        """Find out the file's form.

        Raises: InputInvalid for an empty file, one that is no text, or UTF-16.
        """
        # Python's own limit is 128 KiB for a cell; one process has one limit.
        csv.field_size_limit(MAX_RECORD)
        head = file.read(LOOK_AT)
        if not head.strip():
            raise InputInvalid("the file is empty", fix="name another file")
        encoding, mark = encoding_of(head)
        if encoding.startswith("utf-16"):
            raise InputInvalid(
                "the file is UTF-16, and tables are read as UTF-8",
                fix="convert it: iconv -f utf-16 -t utf-8 FILE",
            )
        self.form = _form(head[len(mark) :], encoding, tabs, delimiter, header)
        self._records = Records(file, start=len(mark), quoted=self.form.quoted, budget=budget)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.form.columns

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
        records = self._records.first(count + self.form.header)[self.form.header :]
        return even(self.columns, self._parsed(records), first=1)

    def tail(self, count: int) -> Table:
        """Return the last rows, from the end of the file."""
        rows = list(self._parsed(self._last(count, quoted=self.form.quoted)))
        if self.form.quoted and _ragged(rows, self.columns):
            # A quote that is not one of a pair, somewhere behind: take lines as they are.
            plain = list(_parse(self._last(count, quoted=False), self.form, quoted=False))
            if _ragged(plain, self.columns) < _ragged(rows, self.columns):
                rows = plain
        return even(self.columns, rows, first=None)

    def _last(self, count: int, *, quoted: bool) -> list[bytes]:
        found, whole = self._records.last(count, quoted=quoted)
        return found[self.form.header :] if whole else found

    def sample(self, count: int, seed: int) -> tuple[Table, bool]:
        """Return random rows, and whether each was equally likely."""
        records, fair = self._records.sample(count + self.form.header, seed)
        if self.form.header:
            first = self._records.first(1)
            records = [record for record in records if record != first[0]][:count]
        return even(self.columns, self._parsed(records), first=None), fair

    def count(self) -> Counted:
        """Count the rows."""
        found = self._records.count()
        rows = max(0, found.records - self.form.header)
        return Counted(records=rows, bytes_read=found.bytes_read, complete=found.complete)

    def rows(self) -> Iterator[Sequence[str]]:
        """Yield all rows until the time is over."""
        rows = self._parsed(self._records.forward())
        if self.form.header:
            next(rows, None)
        return rows

    def _parsed(self, records: Iterable[bytes]) -> Iterator[list[str]]:
        return _parse(records, self.form, quoted=self.form.quoted)


def _parse(records: Iterable[bytes], form: Form, *, quoted: bool) -> Iterator[list[str]]:
    texts = (record.decode(form.encoding, "replace").replace("\0", "�") for record in records)
    return _reader(texts, form.delimiter, quoted=quoted)


def _reader(texts: Iterable[str], delimiter: str, *, quoted: bool) -> Iterator[list[str]]:
    # A record may hold line breaks, and the reader would take each for its end.
    lines = (line for text in texts for line in io.StringIO(f"{text}\n", newline=""))
    if quoted:
        return csv.reader(lines, delimiter=delimiter)
    return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)


def _form(head: bytes, encoding: str, tabs: bool, delimiter: str, header: bool | None) -> Form:
    text = head.decode(encoding, "replace").replace("\0", "�")
    if len(head) >= LOOK_AT - 4 and "\n" in text:
        text = text[: text.rfind("\n")]  # the last line may be cut
    candidates = [delimiter] if delimiter else ["\t"] if tabs else list(DELIMITERS)
    tried = [
        (_score(rows), quoted, len(rows[0]) if rows else 0, -number, candidate, rows)
        for number, candidate in enumerate(candidates)
        for quoted in (True, False)
        for rows in [_first_rows(text, candidate, quoted=quoted)]
        if not quoted or _in_pairs(text, candidate)
    ]
    _, quoted, _, _, chosen, rows = max(tried, key=lambda t: t[:4])
    first = rows[0] if rows else []
    named = _is_header(rows) if header is None else header
    notes = [f"{encoding}, since it is no UTF-8"] if encoding not in ("utf-8", "utf-8-sig") else []
    if not delimiter and chosen != ("\t" if tabs else ","):
        notes.append(f"the delimiter is {chosen!r}")
    if not quoted:
        notes.append("quotes are ordinary characters here: they do not come in pairs")
    if not named:
        notes.append("no header: the first row is data")
    return Form(
        delimiter=chosen,
        quoted=quoted,
        encoding=encoding,
        columns=tuple(
            name.strip() if named and name.strip() else f"column_{number}"
            for number, name in enumerate(first, 1)
        ),
        header=named,
        notes=tuple(notes),
    )


def _first_rows(text: str, delimiter: str, *, quoted: bool) -> list[list[str]]:
    filled = (row for row in _reader([text], delimiter, quoted=quoted) if any(map(str.strip, row)))
    return [row for row, _ in zip(filled, range(LOOK_AT_ROWS), strict=False)]


def _in_pairs(text: str, delimiter: str) -> bool:
    """Whether quotes come in pairs, so that a record can be told from its part by them."""
    record = ""
    for line in text.split("\n")[:LOOK_AT_ROWS]:
        record = f"{record}\n{line}" if record else line.rstrip("\r")
        if record.count('"') & 1:
            continue
        if len(list(_reader([record], delimiter, quoted=True))) > 1:
            return False
        record = ""
    return True  # the last one may be cut


def _score(rows: list[list[str]]) -> float:
    """Say how much like a table the rows are: how many are as long as the first one."""
    width = len(rows[0]) if rows else 0
    return sum(len(row) == width for row in rows) / len(rows) if width > 1 else 0.0


def _is_header(rows: list[list[str]]) -> bool:
    """Whether the first row holds names: none of them is a number or empty for sure."""
    kinds = [kind_of(part) for part in rows[0]] if rows else []
    return any(kind == "text" for kind in kinds) or all(kind == "empty" for kind in kinds)


def _ragged(rows: Sequence[Sequence[str]], columns: Sequence[str]) -> int:
    return sum(len(row) != len(columns) for row in rows)
