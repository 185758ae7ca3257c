"""Long-term memory with many items: store one, find by words, find by meaning."""

import asyncio
import itertools
import math
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import numpy

from benchmarks.compare import Size
from benchmarks.server import Server
from benchmarks.table import Row, absolute
from micro_agi.memory import rows as sql
from micro_agi.memory.item import Origin, draft
from micro_agi.memory.memory import Memory
from micro_agi.search.vectors import pack
from micro_agi.store.database import Database

TITLE = "memory: among many items"
WORDS = 20_000
ITEM_WORDS = 25
DIMENSIONS = 384
MODEL = "bench"
HERE = Origin(session="bench")


class Texts:
    """Texts whose words are as unevenly common as those of a language; and an embedding model."""

    model = MODEL

    def __init__(self) -> None:
        self._chance = random.Random(1)
        letters = "abcdefghijklmnopqrstuvwxyz"
        lengths = (self._chance.randint(4, 9) for _ in range(WORDS))
        self.words = ["".join(self._chance.choices(letters, k=length)) for length in lengths]
        self._weights = list(itertools.accumulate(1 / (n + 1) for n in range(WORDS)))

    def text(self) -> str:
        return " ".join(self._chance.choices(self.words, cum_weights=self._weights, k=ITEM_WORDS))

    async def embed(self, asked: Sequence[str]) -> list[list[float]]:
        return [[self._chance.gauss(0, 1) for _ in range(DIMENSIONS)] for _ in asked]


def rows(server: Server, size: Size) -> list[Row]:
    """Fill a memory on disk, then measure it."""
    with tempfile.TemporaryDirectory(prefix="micro-agi-") as folder:
        return asyncio.run(_rows(Path(folder), size))


async def _rows(folder: Path, size: Size) -> list[Row]:
    count, texts = size.entries // 2, Texts()
    database = Database.open(folder / "state.db")
    database.write_now(lambda db: _fill(db, texts, count))

    memory = Memory(database)
    meaning = Memory(database, embedder=texts)
    # Rare, usual and common words together; then the one that most items have.
    queries = [" ".join(texts.words[n + step] for n in (40, 400, 4000)) for step in range(20)]
    common = texts.words[0]
    found = [
        absolute(
            f"search {count}, three words",
            await _median_ms(queries, lambda q: memory.search(q)),
            "ms",
            goal=10,
        ),
        absolute(
            f"search {count}, a word of most items",
            await _median_ms([common] * size.turns, lambda q: memory.search(q)),
            "ms",
            goal=10,
        ),
        absolute(
            "store one",
            await _median_ms(
                [texts.text() for _ in range(size.turns)], lambda t: memory.add(t, origin=HERE)
            ),
            "ms",
            peer=_bare_commit_ms(folder / "bare.db", size.turns),
            peer_name="bare SQLite commit",
            goal=2,
        ),
    ]
    await meaning.search(queries[0])  # the vectors come into memory once
    by_both = await _median_ms(queries, lambda q: meaning.search(q))
    database.close()
    by_meaning = absolute(
        f"search {count}, words and {DIMENSIONS} numbers",
        by_both,
        "ms",
        peer=_bare_product_ms(count, len(queries)),
        peer_name="bare matrix product",
        goal=10,
    )
    return [*found, by_meaning]


def _fill(db: sqlite3.Connection, texts: Texts, count: int) -> None:
    for number in range(count):
        added = sql.add(db, "", draft(f"{texts.text()} {number}"), HERE, float(number))
        item = int(added.item.id.removeprefix("mem_"))
        # Cheap and all different: what they say does not matter to how long it takes.
        vector = pack([math.sin(number + n) for n in range(DIMENSIONS)])
        db.execute(
            "INSERT INTO memory_vectors(item, model, vector) VALUES (?, ?, ?)",
            (item, MODEL, vector),
        )


async def _median_ms(inputs: Sequence[str], act: Callable[[str], Awaitable[object]]) -> float:
    taken = []
    for given in inputs:
        start = time.perf_counter()
        await act(given)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1000


def _bare_product_ms(count: int, times: int) -> float:
    """Return what comparing that many vectors costs here: memory is read once."""
    block = numpy.ones((count, DIMENSIONS), dtype="<f4")
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        block @ block[0]
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1000


def _bare_commit_ms(path: Path, times: int) -> float:
    """Return what a commit of one row that waits for no disk costs here."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("CREATE TABLE t(number INTEGER PRIMARY KEY, body BLOB)")
    taken = []
    for number in range(times):
        start = time.perf_counter()
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO t VALUES (?, ?)", (number, b"x" * 300))
        db.execute("COMMIT")
        taken.append(time.perf_counter() - start)
    db.close()
    return statistics.median(taken) * 1000
