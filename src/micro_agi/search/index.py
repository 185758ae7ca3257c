"""Find the documents that answer a question asked in other words.

SQLite FTS5 with BM25 over three fields of unequal weight, Porter stems, and a query
that cannot fail: words are cut out of the text and quoted, so no operator of FTS5 is
ever understood. Words that no document has are dropped; if none is left, the documents
whose words begin like them are found.

Used for documentation and tools; every caller owns its `Index`. It does no ranking of
its own beyond BM25, and knows nothing of what a key means.
"""

import re
import sqlite3
from dataclasses import dataclass

MAX_QUERY_CHARS = 2_000
"""A question has no more; the rest of a pasted text would only cost time."""
MAX_QUERY_WORDS = 32
MAX_WORD_CHARS = 64
EXCERPT_WORDS = 24
TITLE_WEIGHT, KEYWORDS_WEIGHT, BODY_WEIGHT = 8.0, 5.0, 1.0
MIN_PREFIX = 3
"""Shorter prefixes match half of all words."""

# Words of questions, not of answers. Kept short on purpose: `time`, `get` or `now` carry
# meaning in technical text, and BM25 already discounts what every document has.
_STOP = """
a about all also am an and any are as at be been but by can could did do does for from
had has have he her here him his how i if in into is it its just like may me might must my
need no of on one or our out own please she should so some such than that the their them
then there these they this those to too up us very want was way we were what when where
which who whom why will with would you your
"""
STOP_WORDS = frozenset(_STOP.split())

_WORD = re.compile(r"\w+")
_PART = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Hit:
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
        row = (_storable(title), _storable(keywords), _storable(body), _storable(key))
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
            (_storable(key),),
        ).fetchone()
        if gone:
            self._db.execute(f"DELETE FROM {self._table} WHERE rowid = ?", gone)  # noqa: S608 table is an identifier

    def search(self, query: str, limit: int = 10) -> list[Hit]:
        """Return the best documents for a question, best first.

        A document needs to have one of the words; having more of them, rarer ones, or
        having them in its title ranks it higher. Any text is a valid query; one without
        words finds nothing.
        """
        wanted = words(query)
        # Only when no word is known as it is: "commas" would match each "command".
        terms = self._whole(wanted) or self._prefixes(wanted)
        if not terms or limit < 1:
            return []
        found = " OR ".join(terms)
        weights = f"{TITLE_WEIGHT}, {KEYWORDS_WEIGHT}, {BODY_WEIGHT}"
        # Two queries: an excerpt costs far more than a rank, and is wanted for few.
        best = self._db.execute(
            f"SELECT rowid, -bm25({self._table}, {weights}) AS score FROM {self._table}"  # noqa: S608 table is an identifier
            f" WHERE {self._table} MATCH ? ORDER BY score DESC, rowid LIMIT ?",
            (found, limit),
        ).fetchall()
        return [self._hit(found, rowid, score) for rowid, score in best]

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

    def _whole(self, wanted: list[str]) -> list[str]:
        """Return the words that some document has; of an unknown compound, its known parts."""
        terms = []
        for word in wanted:
            parts = [p for p in _PART.findall(word) if p not in STOP_WORDS]
            whole = self._matches(f'"{word}"')
            terms += [f'"{word}"'] if whole else [f'"{p}"' for p in parts if p != word]
        return [term for term in dict.fromkeys(terms) if self._matches(term)]

    def _prefixes(self, wanted: list[str]) -> list[str]:
        """Return, for each word, the longest beginning that some document's word has."""
        terms = []
        for word in wanted:
            # Two thirds: "tropicals" may find "tropical", but "banquet" no "banana".
            for length in range(len(word), max(MIN_PREFIX, len(word) * 2 // 3) - 1, -1):
                if self._matches(prefix := f'"{word[:length]}"*'):
                    terms.append(prefix)
                    break
        return terms

    def _matches(self, term: str) -> bool:
        found = self._db.execute(
            f"SELECT 1 FROM {self._table} WHERE {self._table} MATCH ? LIMIT 1",  # noqa: S608 table is an identifier
            (term,),
        )
        return found.fetchone() is not None


def words(query: str) -> list[str]:
    """Cut a question into the words worth looking for, each once, in their order.

    Words like "how" and "the" are left out unless there are no others. A word of
    letters, digits and underscores stays whole: `http_client`.
    """
    found = dict.fromkeys(
        w[:MAX_WORD_CHARS].lower() for w in _WORD.findall(query[:MAX_QUERY_CHARS])
    )
    wanted = [w for w in found if w not in STOP_WORDS] or list(found)
    return wanted[:MAX_QUERY_WORDS]


def _memory() -> sqlite3.Connection:
    # The owner may build it in one thread and search in another, one at a time.
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


def _storable(text: str) -> str:
    """Replace lone surrogates, which SQLite cannot store."""
    return text.encode("utf-8", "replace").decode("utf-8")
