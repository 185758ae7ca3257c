"""Find items by what they mean: vectors of an embedding model, if one is configured.

Without a model nothing here runs, and search by words is good alone. A model that does not
answer never fails an operation: an item is then stored without a vector, and gets one with
the next that succeeds.
"""

import math
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from micro_agi.errors import MicroAgiError, ToolFailed
from micro_agi.search.vectors import BYTES, Matrix, closest, numpy_is_there, pack
from micro_agi.store.database import Database

AT_ONCE = 32
"""Items that get a vector in one request."""
WITHOUT_NUMPY = 300
"""Items that are compared one by one: those the words found."""
SMALL = 1_000
"""Vectors that are not worth counting to find out how many of them are stale."""
MAX_CHARS = 8_000
"""Of one text: models take some thousand tokens, and its beginning says what it is about."""
FIX = "check MICRO_AGI_EMBED_URL and MICRO_AGI_EMBED_MODEL, and that the server runs"
REST_S = 30.0
"""A model that did not answer is left alone for so long: each try may take seconds."""


class Embedder(Struct, frozen=True):
    """An embedding model; `app` passes the one that the settings name."""

    model: str
    """With its server: vectors of different models cannot be compared."""
    embed: Callable[[Sequence[str]], Awaitable[Sequence[Sequence[float]]]]
    """Returns a vector for each text, in their order; raises MicroAgiError."""


class Meanings:
    """The vectors of all items, for one embedding model."""

    def __init__(
        self,
        database: Database,
        embedder: Embedder | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._clock = clock
        self._matrix: Matrix | None = None
        self._last = 0
        """Id of the newest vector in the matrix."""
        self._complete_to = 0
        """Up to this item, all have a vector or got one from another process."""
        self._rest_until = -math.inf
        self._lock = threading.Lock()
        self.failure: MicroAgiError | None = None
        """Why the model did not answer the last time, or None."""

    async def learn(self, number: int) -> None:
        """Give an item a vector, and some of those that are still without one."""
        embedder = self._embedder
        if embedder is None:
            return
        after = min(self._complete_to, number - 1)
        missing = await self._database.read(
            lambda db: _without_vector(db, number, after, embedder.model)
        )
        vectors = await self._embed([content for _, content in missing])
        if vectors is None:
            self._complete_to = after
            return
        rows = [(n, text, v) for (n, text), v in zip(missing, vectors, strict=True)]

        def write(db: sqlite3.Connection) -> None:
            for item, content, vector in rows:
                # Only if it still says what was embedded.
                db.execute(
                    "INSERT OR IGNORE INTO memory_vectors(item, model, vector)"
                    " SELECT id, ?, ? FROM memory_items WHERE id = ? AND content = ?",
                    (embedder.model, vector, item, content),
                )

        await self._database.write(write)
        backlog = sorted(n for n, _ in missing)
        full = len(missing) == AT_ONCE
        self._complete_to = backlog[-2] if full else max(number, self._complete_to)

    async def rank(self, space: str, query: str, by_words: Sequence[int], limit: int) -> list[int]:
        """Return the items of a space whose meaning is nearest to the query's, best first."""
        embedder = self._embedder
        vectors = await self._embed([query]) if embedder else None
        if embedder is None or not vectors:
            return []
        wanted = vectors[0]
        if numpy_is_there():
            return await self._database.read(
                lambda db: self._nearest(db, space, wanted, embedder.model, limit)
            )
        numbers = list(by_words)[:WITHOUT_NUMPY]
        return await self._database.read(
            lambda db: closest(wanted, _vectors(db, numbers, embedder.model), limit)
        )

    async def _embed(self, texts: Sequence[str]) -> list[bytes] | None:
        """Return packed vectors, or None when the model did not answer well."""
        assert self._embedder is not None, "callers look"
        if self._clock() < self._rest_until:
            return None
        try:
            vectors = await self._embedder.embed([text[:MAX_CHARS] for text in texts])
            found = [pack(vector) for vector in vectors]
        except MicroAgiError as error:
            said = f"the embedding model failed: {error.what}"
            self.failure = ToolFailed(said, where=error.where, fix=FIX)
        except ValueError as error:
            self.failure = ToolFailed(
                f"the embedding model `{self._embedder.model}` gave {error}",
                where="embeddings",
                fix="use another embedding model",
            )
        else:
            self.failure = None
            return found
        self._rest_until = self._clock() + REST_S
        return None

    def _nearest(
        self, db: sqlite3.Connection, space: str, wanted: bytes, model: str, limit: int
    ) -> list[int]:
        with self._lock:
            matrix = self._current(db, len(wanted) // BYTES, model)
            asked = limit
            while True:
                found = _alive(db, space, matrix.closest(wanted, asked))
                if len(found) >= limit or asked >= matrix.size:
                    return found[:limit]
                # Other spaces' items are in the matrix too, and vectors that were replaced.
                if self._is_mostly_stale(db, model):
                    self._matrix = None
                    matrix = self._current(db, len(wanted) // BYTES, model)
                asked *= 8

    def _current(self, db: sqlite3.Connection, dimensions: int, model: str) -> Matrix:
        """Return the matrix with what was added to the table since the last time."""
        matrix = self._matrix
        if matrix is None or matrix.dimensions != dimensions:
            matrix, self._last = Matrix(dimensions), 0
        new = db.execute(
            "SELECT id, vector FROM memory_vectors WHERE id > ? AND model = ? ORDER BY id",
            (self._last, model),
        ).fetchall()
        matrix.add(new)
        self._last = new[-1][0] if new else self._last
        self._matrix = matrix
        return matrix

    def _is_mostly_stale(self, db: sqlite3.Connection, model: str) -> bool:
        if self._matrix is None or self._matrix.size < SMALL:
            return False
        (there,) = db.execute(
            "SELECT count(*) FROM memory_vectors WHERE model = ?", (model,)
        ).fetchone()
        return int(there) * 2 < self._matrix.size


def _alive(db: sqlite3.Connection, space: str, keys: Sequence[int]) -> list[int]:
    """Return the items that these vectors belong to, as far as they are still theirs."""
    marks = ", ".join("?" * len(keys))
    # The plus keeps SQLite from reading the whole space by its index.
    query = (
        "SELECT v.id, v.item FROM memory_vectors v JOIN memory_items i"  # noqa: S608 marks only
        f" ON i.id = v.item WHERE +i.space = ? AND v.id IN ({marks})"
    )
    alive = dict(db.execute(query, (space, *keys)).fetchall())
    return [alive[key] for key in keys if key in alive]


def _without_vector(
    db: sqlite3.Connection, number: int, after: int, model: str
) -> list[tuple[int, str]]:
    """Return an item, and the oldest behind `after` that lack a vector."""
    return db.execute(
        "SELECT id, content FROM memory_items WHERE id = ? UNION ALL SELECT * FROM ("
        "SELECT id, content FROM memory_items i WHERE id > ? AND id <> ? AND NOT EXISTS"
        " (SELECT 1 FROM memory_vectors v WHERE v.item = i.id AND v.model = ?)"
        " ORDER BY id LIMIT ?)",
        (number, after, number, model, AT_ONCE - 1),
    ).fetchall()


def _vectors(db: sqlite3.Connection, numbers: Sequence[int], model: str) -> dict[int, bytes]:
    marks = ", ".join("?" * len(numbers))
    return dict(
        db.execute(
            f"SELECT item, vector FROM memory_vectors WHERE model = ? AND item IN ({marks})",  # noqa: S608 marks only
            (model, *numbers),
        ).fetchall()
    )
