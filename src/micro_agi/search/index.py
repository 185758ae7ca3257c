"""Find the documents that answer a question asked in other words.

SQLite FTS5 with BM25 over three fields of unequal weight, and Porter stems; how a question
becomes a query is in `ranked.py`.

Used for documentation and tools; every caller owns its `Index`. It does no ranking of
its own beyond BM25, and knows nothing of what a key means.
"""

import sqlite3

from msgspec import Struct

from micro_agi.search.ranked import rank, storable

EXCERPT_WORDS = 24
TITLE_WEIGHT, KEYWORDS_WEIGHT, BODY_WEIGHT = 8.0, 5.0, 1.0


class Hit(Struct, frozen=True):
    """One document that matches."""

    key: str
    title: str
    excerpt: str
    """About 24 words of the body around the words found, on one line; "" for an empty body."""
    score: float
    """Higher is better; comparable only within one search."""


class Index:
    """Ranked full-text search over documents with a title, keywords and a body.

    In memory unless a connection is given, whose transactions then stay the caller's.
    To be used by one thread at a time. Results are deterministic: of equal
    scores, the document added first comes first.
    """

    def __init__(
        self, connection: sqlite3.Connection | None = None, *, table: str = "documents"
    ) -> None:
        assert table.isidentifier(), "a table name goes into SQL as it is"
        self._owned = connection is None
        self._db = connection or _memory()
        self._table = table
        # FTS5 looks up by rowid only; the second table leads from a key to it.
        self._db.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS {table} USING fts5("
            "title, keywords, body, key UNINDEXED,"
            " tokenize = 'porter unicode61 remove_diacritics 2')"
        )
        self._db.execute(
            f"CREATE TABLE IF NOT EXISTS {table}_keys"
            " (key TEXT PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID"
        )

    def add(self, key: str, *, title: str, keywords: str = "", body: str = "") -> None:
        """Add a document, or replace the one with that key."""
        self.remove(key)
        row = (storable(title), storable(keywords), storable(body), storable(key))
        added = self._db.execute(
            f"INSERT INTO {self._table} (title, keywords, body, key) VALUES (?, ?, ?, ?)",  # noqa: S608 table is an identifier
            row,
        )
        self._db.execute(
            f"INSERT INTO {self._table}_keys VALUES (?, ?)",  # noqa: S608 table is an identifier
            (row[-1], added.lastrowid),
        )

    def remove(self, key: str) -> None:
        """Forget the document with that key, if there is one."""
        gone = self._db.execute(
            f"DELETE FROM {self._table}_keys WHERE key = ? RETURNING id",  # noqa: S608 table is an identifier
            (storable(key),),
        ).fetchone()
        if gone:
            self._db.execute(f"DELETE FROM {self._table} WHERE rowid = ?", gone)  # noqa: S608 table is an identifier

    def search(self, query: str, limit: int = 10) -> list[Hit]:
        """Return the best documents for a question, best first.

        A document needs to have one of the words; having more of them, rarer ones, or
        having them in its title ranks it higher. Any text is a valid query; one without
        words finds nothing.
        """
        # Two queries: an excerpt costs far more than a rank, and is wanted for few.
        weights = (TITLE_WEIGHT, KEYWORDS_WEIGHT, BODY_WEIGHT)
        found = rank(self._db, self._table, query, weights=weights, limit=limit)
        return [self._hit(found.expression, rowid, score) for rowid, score in found.rows]

    def _hit(self, found: str, rowid: int, score: float) -> Hit:
        key, title, excerpt = self._db.execute(
            f"SELECT key, title, snippet({self._table}, 2, '', '', '…', {EXCERPT_WORDS})"  # noqa: S608 table is an identifier
            f" FROM {self._table} WHERE {self._table} MATCH ? AND rowid = ?",
            (found, rowid),
        ).fetchone()
        return Hit(key, title, " ".join(excerpt.split()), score)

    def close(self) -> None:
        """Close the connection if it is our own."""
        if self._owned:
            self._db.close()


def _memory() -> sqlite3.Connection:
    # The owner may build it in one thread and search in another, one at a time.
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
