"""Long-term memory: add, search, get, update, delete, list; and what to recall by itself.

Used by the `memory` tool, the command line and the memory contract of agents, who thereby
do the same. Any number of processes share one memory. Items live in a *space*: one person's
or tenant's memory, which no operation of another space can see, change or find.

Search ranks by words (BM25) and, when an embedding model is configured, by meaning, and
fuses the two rankings.
"""

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from micro_agi.errors import InputInvalid
from micro_agi.memory import rows
from micro_agi.memory.item import PREFIX, Draft, Item, Origin, draft, number_of
from micro_agi.memory.meaning import Embedder, Meanings
from micro_agi.memory.rows import Added
from micro_agi.search.fusion import fuse
from micro_agi.search.ranked import CANDIDATES
from micro_agi.store.database import Database

FOUND = 10
LISTED = 20
MOST = 200
"""Items of one answer; more are had page by page."""
NEAR = 50
"""Places of each ranking that are fused."""
FEW = 5
"""Items of a small memory that may share a word without making it meaningless."""
MATCHES = 400
"""Places that are looked at first when a filter drops some."""


class Filter(Struct, frozen=True, kw_only=True):
    """Which items count: all of the tags, and all of these values in the metadata."""

    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] | None = None
    session: str = ""
    """Only what this session stored."""

    def takes(self, item: Item) -> bool:
        """Whether an item passes."""
        wanted = self.metadata or {}
        return (
            set(self.tags) <= set(item.tags)
            and all(key in item.metadata and item.metadata[key] == wanted[key] for key in wanted)
            and self.session in ("", item.origin.session)
        )

    @property
    def open(self) -> bool:
        """Whether it takes everything."""
        return not (self.tags or self.metadata or self.session)


ALL = Filter()


class Page(Struct, frozen=True, kw_only=True):
    """A part of a list, newest change first."""

    items: tuple[Item, ...]
    next: str
    """Give it as `after` for the next page; "" at the end."""
    total: int
    """Items of the space, whatever the filter."""


class Memory:
    """The memory of one state database."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float] = time.time,
        embedder: Embedder | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self.meanings = Meanings(database, embedder)

    async def add(
        self,
        content: str,
        *,
        tags: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
        origin: Origin,
        space: str = "",
    ) -> Added:
        """Remember something; the same content a second time is the item that is there.

        Raises: InputInvalid for what no item may be.
        """
        new, now = draft(content, tags, metadata), self._clock()
        added = await self._database.write(lambda db: rows.add(db, space, new, origin, now))
        if added.new:
            await self.meanings.learn(number_of(added.item.id))
        return added

    async def get(self, item_id: str, *, space: str = "") -> Item:
        """Return one item.

        Raises: InputInvalid for what is no id; EntryNotFound.
        """
        number = number_of(item_id)
        return await self._database.read(lambda db: rows.get(db, space, number))

    async def update(
        self,
        item_id: str,
        *,
        content: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        origin: Origin,
        expected_revision: int | None = None,
        space: str = "",
    ) -> Item:
        """Change what is given and leave the rest; where it first came from stays.

        Raises: InputInvalid; EntryNotFound; EntryConflict when it is at another revision
            than expected, or would say what another item says.
        """
        if content is None and tags is None and metadata is None:
            raise InputInvalid(
                "nothing to change is given",
                where="memory",
                fix="give content, tags or metadata",
            )
        number, now = number_of(item_id), self._clock()

        def changed(before: Item) -> Draft:
            return draft(
                before.content if content is None else content,
                before.tags if tags is None else tags,
                before.metadata if metadata is None else metadata,
            )

        item = await self._database.write(
            lambda db: rows.update(
                *(db, space, number, changed),
                origin=origin,
                now=now,
                expected_revision=expected_revision,
            )
        )
        if content is not None:
            await self.meanings.learn(number)
        return item

    async def delete(self, item_id: str, *, space: str = "") -> Item:
        """Forget an item and return what it was; its id is never given out again.

        Raises: InputInvalid; EntryNotFound.
        """
        number = number_of(item_id)
        return await self._database.write(lambda db: rows.delete(db, space, number))

    async def listed(
        self, *, only: Filter = ALL, limit: int = LISTED, after: str = "", space: str = ""
    ) -> Page:
        """Return items by their last change, newest first.

        Raises: InputInvalid for a limit or an `after` that is none.
        """
        limit = _limit(limit)

        def read(db: sqlite3.Connection) -> Page:
            before = None
            if after:
                last = rows.get(db, space, number_of(after))
                before = (last.updated_at, number_of(last.id))
            kept: list[Item] = []
            while True:
                batch = rows.newest(db, space, before=before, limit=MOST if only != ALL else limit)
                kept += [item for item in batch if only.takes(item)]
                if len(kept) >= limit or not batch:
                    break
                before = (batch[-1].updated_at, number_of(batch[-1].id))
            shown = kept[:limit]
            more = len(shown) == limit
            return Page(
                items=tuple(shown),
                next=shown[-1].id if more else "",
                total=rows.count(db, space),
            )

        return await self._database.read(read)

    async def search(
        self, query: str, *, only: Filter = ALL, limit: int = FOUND, space: str = ""
    ) -> list[Item]:
        """Return the items that fit a question best, best first.

        No word of it is required; an item with more of them, or rarer ones, comes first.
        Raises: InputInvalid for an empty query or a limit that is none.
        """
        if not query.strip():
            raise InputInvalid(
                "there is nothing to search for", where="query", fix="give a few words, or use list"
            )
        limit = _limit(limit)
        looked_at = max(limit, NEAR) if only.open else MATCHES
        found = await self._ranked(query, space, only, limit, looked_at)
        if len(found) < limit and not only.open:
            # The filter may have dropped what came first: look at everything that matches.
            found = await self._ranked(query, space, only, limit, CANDIDATES)
        return found

    async def related(
        self, text: str, *, without: Sequence[str] = (), limit: int, space: str = ""
    ) -> list[Item]:
        """Return items that have to do with a text, best first; nothing is better than noise.

        Words that many items have do not count: they relate everything to everything. Nor does
        meaning alone, since something is always nearest; it orders what the words found.
        """

        def read(db: sqlite3.Connection) -> list[int]:
            telling = max(FEW, rows.count(db, space) // 20)
            found = rows.by_words(db, space, text, NEAR, telling=telling)
            return [number for number, _ in found.rows]

        words = await self._database.read(read)
        words = [number for number in words if f"{PREFIX}{number}" not in without]
        if len(words) > limit:
            near = await self.meanings.rank(space, text, words, NEAR)
            words = fuse([words, [number for number in near if number in words]])
        order = words[:limit]
        items = await self._database.read(lambda db: rows.many(db, space, order))
        return [items[n] for n in order if n in items]

    async def _ranked(
        self, query: str, space: str, only: Filter, limit: int, looked_at: int
    ) -> list[Item]:
        words = await self._database.read(
            lambda db: [number for number, _ in rows.by_words(db, space, query, looked_at).rows]
        )
        meaning = await self.meanings.rank(space, query, words, looked_at)
        order = fuse([words, meaning]) if meaning else words
        if only.open:
            order = order[:limit]
        items = await self._database.read(lambda db: rows.many(db, space, order))
        return [items[n] for n in order if n in items and only.takes(items[n])][:limit]


def _limit(limit: int) -> int:
    if not 1 <= limit <= MOST:
        raise InputInvalid(f"the limit is {limit}", where="limit", fix=f"give 1 to {MOST}")
    return limit
