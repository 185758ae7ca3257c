"""The records of a text file of any size: the first, the last, some, all, or how many.

A record is a line, except that a line break between double quotes belongs to it, where the
format says so. Memory is bounded by one block and the records asked for. The last records
are found from the end of the file: quotes come in pairs, so a line break with an even number of
them behind it is outside of any.

Blank lines are no records. Knows nothing of columns.
"""

import os
import random
import re
from collections.abc import Iterator
from typing import BinaryIO

from msgspec import Struct

from micro_agi.errors import LimitReached
from micro_agi.local.data.budget import Budget

BLOCK = 1 << 20
FIRST_BACK = 64 << 10
MOST_BACK = 64 << 20
"""Bytes read from the end for the last records."""
MAX_RECORD = 16 << 20
QUOTE = b'"'
EXACT_SAMPLE_BYTES = 32 << 20
"""Files up to this size are sampled record by record, larger ones at random places."""
CHECK_EVERY = 1000
_BLANK = re.compile(rb"\n[ \t\r]*\n")


class Counted(Struct, frozen=True, kw_only=True):
    """How many records there are, as far as was read."""

    records: int
    bytes_read: int
    complete: bool


class Records:
    """Reads one open file, by blocks. To be used by one thread."""

    def __init__(self, file: BinaryIO, *, start: int, quoted: bool, budget: Budget) -> None:
        """Read from byte `start` on; `quoted` records may hold line breaks."""
        self._file = file
        self._start = start
        self._quoted = quoted
        self._budget = budget
        self.size = os.fstat(file.fileno()).st_size
        self.stopped_at: int | None = None
        """Where reading on ended because the time was over; None when it was not."""

    def forward(self, start: int | None = None) -> Iterator[bytes]:
        """Yield records from the beginning, or from a byte that begins one.

        Raises: LimitReached for one over 16 MiB.
        """
        self._file.seek(self._start if start is None else start)
        read, quoted, budget = self._file.readline, self._quoted, self._budget
        checked = 0
        while line := read(MAX_RECORD):
            record = line
            while quoted and record.count(QUOTE) & 1:
                more = read(MAX_RECORD)
                if not more:
                    break
                record += more
                self._check(record)
            self._check(record, cut=not record.endswith(b"\n"))
            plain = record.rstrip(b"\r\n")
            if plain.strip():
                yield plain
            checked += 1
            if checked % CHECK_EVERY == 0 and budget.spent:
                self.stopped_at = self._file.tell()
                return

    def first(self, count: int) -> list[bytes]:
        """Return the first records."""
        return [record for record, _ in zip(self.forward(), range(count), strict=False)]

    def last(self, count: int, *, quoted: bool | None = None) -> tuple[list[bytes], bool]:
        """Return the last records, in their order, and whether the file's first is among them.

        Raises: LimitReached when they take more than 64 MiB.
        """
        if not count:
            return [], False
        quoted = self._quoted if quoted is None else quoted
        back = FIRST_BACK
        while True:
            begin = max(self._start, self.size - back)
            self._file.seek(begin)
            found = _from_the_end(self._file.read(self.size - begin), quoted=quoted)
            if begin == self._start:
                return found[-count:], len(found) <= count
            # The first one may have begun before what was read.
            if len(found) > count:
                return found[-count:], False
            if back >= MOST_BACK:
                raise LimitReached(
                    f"the last {count} rows take more than {MOST_BACK >> 20} MiB",
                    where="tail",
                    fix="ask for fewer; or a quote is not closed, then use head",
                )
            back *= 4

    def count(self) -> Counted:
        """Count the records, a gigabyte in a second or two."""
        self._file.seek(self._start)
        total, rest, position = 0, b"", self._start
        while block := self._file.read(BLOCK):
            position += len(block)
            block = rest + block
            # Blocks end where a line ends, outside of quotes.
            end = _last_break(block, quoted=self._quoted)
            self._check(block[end:])
            total += _count(block[:end], quoted=self._quoted)
            rest = block[end:]
            if self._budget.spent:
                return Counted(records=total, bytes_read=position, complete=False)
        total += _count(rest, quoted=self._quoted)
        return Counted(records=total, bytes_read=position, complete=True)

    def sample(self, count: int, seed: int) -> tuple[list[bytes], bool]:
        """Return random records in their order, and whether each was equally likely.

        The same seed gives the same records. In a large file records are looked for
        behind random places, so one that follows a long record is likelier.
        """
        chance = random.Random(seed)  # noqa: S311 - a sample, no secret
        if self.size - self._start <= EXACT_SAMPLE_BYTES:
            return self._reservoir(count, chance), True
        found: dict[int, bytes] = {}
        for _ in range(count * 3):
            if len(found) == count or self._budget.spent:
                break
            place = chance.randrange(self._start, self.size)
            begin, record = self._record_behind(place)
            if record is not None:
                found[begin] = record
        return [found[begin] for begin in sorted(found)], False

    def _reservoir(self, count: int, chance: random.Random) -> list[bytes]:
        kept: list[tuple[int, bytes]] = []
        for number, record in enumerate(self.forward()):
            if number < count:
                kept.append((number, record))
            elif (place := chance.randrange(number + 1)) < count:
                kept[place] = (number, record)
        return [record for _, record in sorted(kept)]

    def _record_behind(self, place: int) -> tuple[int, bytes | None]:
        """Return the first record that begins behind a place, taken to be outside of quotes."""
        self._file.seek(place)
        self._file.readline(MAX_RECORD)
        begin = self._file.tell()
        return begin, next(self.forward(begin), None)

    def _check(self, record: bytes, *, cut: bool = False) -> None:
        if len(record) > MAX_RECORD or (cut and len(record) == MAX_RECORD):
            raise LimitReached(
                f"a row is longer than {MAX_RECORD >> 20} MiB",
                where=f"the row that ends behind byte {self._file.tell()}",
                fix="a quote may not be closed; correct the file",
            )


def _from_the_end(data: bytes, *, quoted: bool) -> list[bytes]:
    """Split the end of a file into records; the first may be part of one."""
    lines = data.split(b"\n")
    if not quoted or QUOTE not in data:
        return [plain for line in lines if (plain := line.rstrip(b"\r")).strip()]
    records: list[bytes] = []
    pending: list[bytes] = []
    inside = 0
    for line in reversed(lines):
        pending.append(line)
        inside ^= line.count(QUOTE) & 1
        if not inside:
            records.append(b"\n".join(reversed(pending)).rstrip(b"\r"))
            pending = []
    if pending:
        records.append(b"\n".join(reversed(pending)))
    return [record for record in reversed(records) if record.strip()]


def _last_break(block: bytes, *, quoted: bool) -> int:
    """Return where the last record that is complete ends."""
    if not quoted or QUOTE not in block:
        return block.rfind(b"\n") + 1
    before, end = block.count(QUOTE), len(block)
    while (place := block.rfind(b"\n", 0, end)) >= 0:
        before -= block.count(QUOTE, place, end)
        if not before & 1:
            return place + 1
        end = place
    return 0


def _count(block: bytes, *, quoted: bool) -> int:
    """Count the records of a block that ends with one."""
    if not block:
        return 0
    if _BLANK.search(block) or not block.partition(b"\n")[0].strip():
        return len(_from_the_end(block, quoted=quoted))
    inside = 0
    if quoted and QUOTE in block:
        inside = b"".join(block.split(QUOTE)[1::2]).count(b"\n")
    return block.count(b"\n") - inside + (not block.endswith(b"\n"))
