"""`data_view` on a large CSV: its ends, its length, and what the memory of the process is then."""

import asyncio
import resource
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.compare import Size
from benchmarks.server import Server
from benchmarks.table import Row, absolute, ratio
from micro_agi.local.data.view import data_view
from micro_agi.local.workspace import Workspace
from micro_agi.security.context import root_context

TITLE = "data: a CSV of a gigabyte"
BYTES_PER_ENTRY = 10_737
"""Times the size's number of entries: a gigabyte."""
BLOCK = 1 << 20


def rows(server: Server, size: Size) -> list[Row]:
    """Write a file and look into it."""
    with tempfile.TemporaryDirectory(prefix="micro-agi-") as folder:
        path = Path(folder) / "large.csv"
        _write(path, size.entries * BYTES_PER_ENTRY)
        return asyncio.run(_rows(path, size))


async def _rows(path: Path, size: Size) -> list[Row]:
    tool = data_view(Workspace(path.parent))

    async def look(operation: str, times: int) -> float:
        taken = []
        for _ in range(times):
            start = time.perf_counter()
            found = await tool.run(
                {"path": path.name, "operation": operation, "n_rows": 5}, root_context()
            )
            taken.append(time.perf_counter() - start)
            assert found["rows"], "there are rows"
        return statistics.median(taken) * 1000

    read_ms = _read_ms(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tail, head = await look("tail", size.turns), await look("head", size.turns)
    sample = await look("sample", size.turns)
    start = time.process_time()
    await look("shape", 1)
    count = (time.process_time() - start) * 1000
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return [
        absolute("the last five rows", tail, "ms", goal=10),
        absolute("the first five rows", head, "ms", goal=10),
        absolute("five random rows", sample, "ms"),
        ratio("count the rows", count, read_ms, "ms", peer_name="read the file"),
        absolute("memory for all of it", max(grown, 0.001), "MB", goal=32),
    ]


def _write(path: Path, size: int) -> None:
    lines = [
        f'{n},2026-01-{n % 28 + 1:02},name {n},{n * 1.5},"some, text {n}"\n' for n in range(10_000)
    ]
    block = "".join(lines).encode()
    with path.open("wb") as file:
        file.write(b"id,day,name,value,note\n")
        while file.tell() < size:
            file.write(block)


def _read_ms(path: Path) -> float:
    start = time.process_time()
    with path.open("rb", buffering=0) as file:
        while file.read(BLOCK):
            pass
    return (time.process_time() - start) * 1000
