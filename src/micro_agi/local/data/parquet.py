"""Parquet files, read by a confined process of its own (`readers/parquet_program.py`).

Needs pyarrow, which is 170 MB installed and therefore an extra; without it, the error says how
to get it. A reader that breaks on a file, or is broken by it, ends alone.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from micro_agi.errors import LimitReached, ToolFailed
from micro_agi.local.data.budget import Budget
from micro_agi.local.data.describe import describe
from micro_agi.local.data.table import MOST_COLUMNS, Table, cell, shown
from micro_agi.local.readers.start import command, options

MAGIC = b"PAR1"
LINE_BYTES = 64 << 20
CHECK_EVERY = 1000


def is_parquet(head: bytes) -> bool:
    """Whether a file begins like one."""
    return head.startswith(MAGIC)


def view_parquet(
    file: BinaryIO, operation: str, *, rows: int, seed: int, budget: Budget
) -> dict[str, Any]:
    """Answer an operation of `data_view`.

    Raises: InputInvalid when pyarrow is not installed; ToolFailed for a file that cannot be
        read; LimitReached when it takes too long or too much memory.
    """
    plans = {"shape": "none", "columns": "none", "describe": "all"}
    plan = {"operation": plans.get(operation, operation), "rows": rows, "seed": seed}
    with _reading(file, plan, budget) as (facts, found):
        names = tuple(name for name, _ in facts["columns"])
        if operation == "shape":
            listed = [cell(name) for name in names[:MOST_COLUMNS]]
            return {"rows": facts["rows"], "columns": len(names), "names": listed}
        if operation == "columns":
            kinds = [{"name": cell(n), "kind": kind} for n, kind in facts["columns"]]
            more = len(kinds) - MOST_COLUMNS
            notes = {"notes": [f"{more} more columns"]} if more > 0 else {}
            return {"columns": kinds[:MOST_COLUMNS], "rows": facts["rows"], **notes}
        if operation == "describe":
            total, columns = describe(names, found)
            answer: dict[str, Any] = {"rows": total, "columns": [c.facts() for c in columns]}
            if total < facts["rows"]:
                said = (
                    f"the time was over: this describes the first {total} of {facts['rows']} rows"
                )
                answer["notes"] = [said]
            return answer
        table = Table(columns=names, rows=tuple(map(tuple, found)))
        return shown(table, keep="last" if operation == "tail" else "first")


@contextmanager
def _reading(
    file: BinaryIO, plan: dict[str, Any], budget: Budget
) -> Iterator[tuple[dict[str, Any], Iterator[list[Any]]]]:
    """Start the reader; yield what the file is and an iterator over the rows."""
    number = file.fileno()
    process = subprocess.Popen(  # noqa: S603 - our own program
        command("parquet_program", "pyarrow", "parquet", str(number), json.dumps(plan)),
        stdin=subprocess.DEVNULL,
        pass_fds=[number],
        **options(),
    )
    assert process.stdout is not None, "it is a pipe"
    try:
        lines = _lines(process, process.stdout)
        facts = next(lines, None)
        if facts is None:
            raise _broken(process)
        yield facts, _within(lines, budget)
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def _lines(process: "subprocess.Popen[bytes]", stream: Any) -> Iterator[Any]:
    while line := stream.readline(LINE_BYTES):
        if not line.endswith(b"\n"):
            raise _broken(process)
        value = json.loads(line)
        if isinstance(value, dict) and "error" in value:
            raise ToolFailed(
                f"the file is no readable parquet: {value['error']}",
                fix="check that the file is whole",
            )
        yield value
    if process.wait() != 0:
        raise _broken(process)


def _within(lines: Iterator[Any], budget: Budget) -> Iterator[list[Any]]:
    for number, row in enumerate(lines, 1):
        yield row
        if number % CHECK_EVERY == 0 and budget.spent:
            return


def _broken(process: "subprocess.Popen[bytes]") -> ToolFailed:
    process.kill()
    code = process.wait()
    return LimitReached(
        "the reader of parquet files ended without an answer",
        where=f"data_view, status {code}",
        fix="the file may be damaged, or need more memory or time than it gets",
    )
