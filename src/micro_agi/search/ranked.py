"""Rank the rows of an FTS5 table for a question, in bounded time.

The query cannot fail: words are cut out of the text and quoted, so no operator of FTS5 is
ever understood. Words that no row has are dropped; if none is left, the rows whose words
begin like them are found. Text of scripts without spaces is looked for by pairs of
characters, in a column that holds `spaced` text.

BM25 costs about a microsecond for each row that has one of the words, and a word that most
rows have says next to nothing: the rarest words are taken first, until `CANDIDATES` rows
have one of them. If the rarest word alone is that common, the newest rows that have it are
ranked. `index.py` and the memory store are its callers.
"""

import itertools
import re
import sqlite3
from collections.abc import Sequence

from msgspec import Struct

MAX_QUERY_CHARS = 2_000
"""A question has no more; the rest of a pasted text would only cost time."""
MAX_QUERY_WORDS = 32
MAX_WORD_CHARS = 64
MIN_PREFIX = 3
"""Shorter prefixes match half of all words."""
CANDIDATES = 2_000
"""Rows that are scored at most, or little more: a few milliseconds."""

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
# Han, kana, hangul, Thai, Lao, Khmer, Burmese: written without spaces, or with word
# endings grown onto the word.
_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_RUN = re.compile(f"[{_SPACELESS}]+")


class Ranking(Struct, frozen=True, kw_only=True):
    """What was found, best first."""

    expression: str = ""
    """The FTS5 query that found the rows, for excerpts; "" when nothing can be found."""
    rows: tuple[tuple[int, float], ...] = ()
    """Row ids with their scores; higher is better, comparable only within one ranking."""


def rank(
    connection: sqlite3.Connection,
    table: str,
    query: str,
    *,
    weights: Sequence[float],
    limit: int,
    within: str = "",
    telling: int | None = None,
) -> Ranking:
    """Return the best rows of an FTS5 table for a question.

    `within` is an FTS5 expression that every row has to match; what other rows have takes
    no place among the candidates (how rare a word is, BM25 counts in all of them). Words
    that more than `telling` rows have are not looked for: for finding what has to do with a
    text, not what it asks for.

    A row needs one of the words; having more of them, rarer ones, or having them in a
    column of more weight ranks it higher. Of equal scores the older row comes first.
    """
    assert table.isidentifier(), "a table name goes into SQL as it is"
    terms = _Terms(connection, table, within)
    found = [pair for pair in terms.known(query) if telling is None or pair[1] <= telling]
    if not found or limit < 1:
        return Ranking()
    chosen: list[str] = []
    total = 0
    for term, count in sorted(found, key=lambda pair: pair[1]):
        if chosen and total + count > CANDIDATES:
            break
        chosen.append(term)
        total += count
    expression = terms.inside(" OR ".join(chosen))
    oldest = terms.oldest_of(expression) if total > CANDIDATES else 0
    weighed = ", ".join(str(float(weight)) for weight in weights)
    rows = connection.execute(
        f"SELECT rowid, -bm25({table}, {weighed}) AS score FROM {table}"  # noqa: S608 table is an identifier
        f" WHERE {table} MATCH ? AND rowid >= ? ORDER BY score DESC, rowid LIMIT ?",
        (expression, oldest, limit),
    ).fetchall()
    return Ranking(expression=expression, rows=tuple(rows))


class _Terms:
    """Looks up which words a table knows, and how many rows have them."""

    def __init__(self, connection: sqlite3.Connection, table: str, within: str) -> None:
        self._db = connection
        self._table = table
        self._within = within

    def inside(self, expression: str) -> str:
        """Return the expression for rows that may be found at all."""
        return f"{self._within} AND ({expression})" if self._within else expression

    def known(self, query: str) -> list[tuple[str, int]]:
        """Return the quoted terms that some row has, each with its number of rows."""
        wanted = words(query)
        # Only when no word is known as it is: "commas" would match each "command".
        return self._counted(self._whole(wanted)) or self._prefixes(wanted)

    def oldest_of(self, expression: str) -> int:
        """Return the row id from which on about `CANDIDATES` rows match."""
        row = self._db.execute(
            f"SELECT rowid FROM {self._table} WHERE {self._table} MATCH ?"  # noqa: S608 table is an identifier
            " ORDER BY rowid DESC LIMIT 1 OFFSET ?",
            (expression, CANDIDATES),
        ).fetchone()
        return int(row[0]) if row else 0

    def _whole(self, wanted: list[str]) -> list[str]:
        """Return the words; of an unknown compound, its parts."""
        terms = []
        for word in wanted:
            parts = [p for p in _PART.findall(word) if p not in STOP_WORDS]
            whole = self._rows(f'"{word}"')
            terms += [f'"{word}"'] if whole else [f'"{p}"' for p in parts if p != word]
            terms += [f'"{piece}"' for piece in _pieces(word)]
        return list(dict.fromkeys(terms))

    def _counted(self, terms: list[str]) -> list[tuple[str, int]]:
        counted = [(term, self._rows(term)) for term in terms]
        return [(term, count) for term, count in counted if count]

    def _prefixes(self, wanted: list[str]) -> list[tuple[str, int]]:
        """Return, for each word, the longest beginning that some row's word has."""
        terms = []
        for word in wanted:
            # Two thirds: "tropicals" may find "tropical", but "banquet" no "banana".
            for length in range(len(word), max(MIN_PREFIX, len(word) * 2 // 3) - 1, -1):
                prefix = f'"{word[:length]}"*'
                if count := self._rows(prefix):
                    terms.append((prefix, count))
                    break
        return terms

    def _rows(self, term: str) -> int:
        """Return how many rows have it, at most one more than `CANDIDATES`."""
        (count,) = self._db.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM {self._table}"  # noqa: S608 table is an identifier
            f" WHERE {self._table} MATCH ? LIMIT {CANDIDATES + 1})",
            (self.inside(term),),
        ).fetchone()
        return int(count)


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


def spaced(text: str) -> str:
    """Return the words that are written without spaces, a space around each character.

    An FTS5 column of it makes every pair of neighbours a phrase to be found; "" when the
    text has no such word.

    >>> spaced("Met in 東京, liked the whale水族館"), spaced("Tokyo")
    ('東 京 whale 水 族 館', '')
    """
    found = (w for w in _WORD.findall(text) if _RUN.search(w))
    apart = (_RUN.sub(lambda run: f" {' '.join(run[0])} ", w) for w in found)
    return " ".join(" ".join(apart).split())


def storable(text: str) -> str:
    """Replace lone surrogates, which SQLite cannot store."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _pieces(word: str) -> list[str]:
    """Cut a word with characters of such scripts as `spaced` does: into pairs, and the rest."""
    runs = _RUN.findall(word)
    if not runs:
        return []
    pairs = [f"{a} {b}" for run in runs for a, b in itertools.pairwise(run)]
    return [*pairs, *(run for run in runs if len(run) == 1), *filter(None, _RUN.split(word))]
