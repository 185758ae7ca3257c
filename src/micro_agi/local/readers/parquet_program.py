"""Read a parquet file that nobody trusts: a program of its own, which has nothing to lose.

Decoding is done by a large C++ library, and the file may be made to break it.

Arguments: where packages are, the descriptor, and a plan as JSON. It prints one JSON value a
line: what the file is, then rows.
"""

import json
import random
import sys
from collections import deque
from collections.abc import Iterator
from typing import Any

ADDRESS_BYTES = 6 << 30
"""Arrow reserves much more than it uses."""
CPU_S = 40
BATCH_ROWS = 1000


def main() -> None:
    """Confine this process, then answer the plan."""
    places, descriptor, plan = sys.argv[1].split("\n"), int(sys.argv[2]), json.loads(sys.argv[3])
    sys.path[:0] = places
    import pyarrow
    import pyarrow.parquet as parquet

    from micro_agi.local.readers.confine import confine

    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    confine(address_bytes=ADDRESS_BYTES, cpu_s=CPU_S)
    with open(descriptor, "rb") as file:
        try:
            opened = parquet.ParquetFile(file, pre_buffer=False)
            facts = {
                "columns": [[f.name, str(f.type)] for f in opened.schema_arrow],
                "rows": opened.metadata.num_rows,
            }
            say(facts)
            for row in rows(opened, plan):
                say(row)
        except (pyarrow.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
            say({"error": str(error)[:500] or type(error).__name__})


def rows(opened: Any, plan: dict[str, Any]) -> Iterator[list[Any]]:
    """Yield the rows that the plan asks for."""
    count, total = plan["rows"], opened.metadata.num_rows
    match plan["operation"]:
        case "head":
            yield from _between(opened, 0, count)
        case "tail":
            kept: deque[list[Any]] = deque(maxlen=count)
            kept.extend(_between(opened, max(0, total - count), total))
            yield from kept
        case "sample":
            chance = random.Random(plan["seed"])  # noqa: S311 - a sample, no secret
            wanted = set(chance.sample(range(total), min(count, total)))
            yield from _picked(opened, wanted)
        case "all":
            yield from _between(opened, 0, total)


def _between(opened: Any, begin: int, end: int) -> Iterator[list[Any]]:
    """Yield rows by their numbers, reading only the row groups that hold them."""
    first = 0
    for group in range(opened.metadata.num_row_groups):
        size = opened.metadata.row_group(group).num_rows
        if first < end and first + size > begin:
            number = first
            for batch in opened.iter_batches(BATCH_ROWS, row_groups=[group], use_threads=False):
                low, high = max(begin - number, 0), min(end - number, batch.num_rows)
                if low < high:
                    yield from _rows_of(batch.slice(low, high - low))
                number += batch.num_rows
                if number >= end:
                    return
        first += size


def _picked(opened: Any, wanted: set[int]) -> Iterator[list[Any]]:
    first = 0
    for group in range(opened.metadata.num_row_groups):
        size = opened.metadata.row_group(group).num_rows
        if any(first <= number < first + size for number in wanted):
            here = _between(opened, first, first + size)
            yield from (row for n, row in enumerate(here, first) if n in wanted)
        first += size


def _rows_of(batch: Any) -> Iterator[list[Any]]:
    columns = [column.to_pylist() for column in batch.columns]
    return (list(row) for row in zip(*columns, strict=True))


def say(value: Any) -> None:
    """Write one line; what JSON does not know is written as text."""
    sys.stdout.write(json.dumps(value, default=_as_text) + "\n")


def _as_text(value: Any) -> str:
    if isinstance(value, bytes):
        return value[:200].hex() if not value.isascii() else value.decode("ascii")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


if __name__ == "__main__":
    main()
