"""The SQL of memory: items in and out of the state database.

Every function runs inside one transaction of `store`, so what two processes do at once
happens one after the other. All of them take a space and never see another one's items.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence

import msgspec
from msgspec import Struct

from micro_agi.errors import EntryConflict, EntryNotFound
from micro_agi.memory.item import PREFIX, Draft, Item, Origin
from micro_agi.search.ranked import Ranking, rank, storable
from micro_agi.values import canonical_json

WEIGHTS = (1.0, 4.0, 1.0, 0.0)
"""Of content, tags, characters of spaceless scripts; the space itself says nothing."""
COLUMNS = "id, content, tags, metadata, revision, created_at, updated_at, origin, revised_by"


class Added(Struct, frozen=True, kw_only=True):
    """What became of a draft."""

    item: Item
    new: bool
    """False when the same content was there already; it is then left as it is."""


def add(db: sqlite3.Connection, space: str, new: Draft, origin: Origin, now: float) -> Added:
    """Store an item, unless the space has the same content already."""
    known = db.execute(
        f"SELECT {COLUMNS} FROM memory_items WHERE space = ? AND hash = ?",  # noqa: S608 our own text
        (space, new.hash),
    ).fetchone()
    if known is not None:
        return Added(item=_item(known), new=False)
    who = _json(origin)
    added = db.execute(
        "INSERT INTO memory_items(space, space_word, hash, content, tags, spaced, metadata,"
        " revision, created_at, updated_at, origin, revised_by)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?)",
        (
            *(space, space_word(space), new.hash, new.content, _json(new.tags), new.spaced),
            *(_json(new.metadata), now, now, who, who),
        ),
    )
    number = int(added.lastrowid or 0)
    _index(db, number)
    return Added(item=get(db, space, number), new=True)


def get(db: sqlite3.Connection, space: str, number: int) -> Item:
    """Return one item.

    Raises: EntryNotFound when the space has no such item.
    """
    found = many(db, space, [number])
    if not found:
        raise EntryNotFound(
            f"there is no memory `{PREFIX}{number}`",
            where="memory",
            fix="`list` shows the newest ones, `search` finds them by their words",
        )
    return found[number]


def many(db: sqlite3.Connection, space: str, numbers: Iterable[int]) -> dict[int, Item]:
    """Return the items with these numbers that the space has."""
    wanted = list(numbers)
    marks = ", ".join("?" * len(wanted))
    rows = db.execute(
        # The plus keeps SQLite from reading the whole space by its index.
        f"SELECT {COLUMNS} FROM memory_items WHERE +space = ? AND id IN ({marks})",  # noqa: S608 marks only
        (space, *wanted),
    )
    return {row[0]: _item(row) for row in rows}


def update(
    db: sqlite3.Connection,
    space: str,
    number: int,
    changed: Callable[[Item], Draft],
    *,
    origin: Origin,
    now: float,
    expected_revision: int | None,
) -> Item:
    """Replace an item's content, tags or metadata by what `changed` makes of it.

    Raises: EntryNotFound; EntryConflict when somebody changed it in between, or another
        item says the same already.
    """
    before = get(db, space, number)
    if expected_revision not in (None, before.revision):
        raise EntryConflict(
            f"`{before.id}` is at revision {before.revision}, not {expected_revision}",
            where=before.id,
            fix="get it again, and decide anew",
        )
    new = changed(before)
    twin = db.execute(
        "SELECT id FROM memory_items WHERE space = ? AND hash = ? AND id <> ?",
        (space, new.hash, number),
    ).fetchone()
    if twin:
        raise EntryConflict(
            f"`{PREFIX}{twin[0]}` says the same already",
            where=before.id,
            fix=f"delete `{before.id}`, or update `{PREFIX}{twin[0]}`",
        )
    _unindex(db, number, meaning=new.content != before.content)
    db.execute(
        "UPDATE memory_items SET hash = ?, content = ?, tags = ?, spaced = ?, metadata = ?,"
        " revision = revision + 1, updated_at = ?, revised_by = ? WHERE id = ?",
        (
            *(new.hash, new.content, _json(new.tags), new.spaced, _json(new.metadata)),
            *(now, _json(origin), number),
        ),
    )
    _index(db, number)
    return get(db, space, number)


def delete(db: sqlite3.Connection, space: str, number: int) -> Item:
    """Forget an item and return what it was.

    Raises: EntryNotFound.
    """
    gone = get(db, space, number)
    _unindex(db, number, meaning=True)
    db.execute("DELETE FROM memory_items WHERE id = ?", (number,))
    return gone


def newest(
    db: sqlite3.Connection, space: str, *, before: tuple[float, int] | None, limit: int
) -> list[Item]:
    """Return items by their last change, newest first, from behind `before` on."""
    at, number = before or (float("inf"), 1 << 62)
    rows = db.execute(
        f"SELECT {COLUMNS} FROM memory_items"  # noqa: S608 our own text
        " WHERE space = ? AND (updated_at, id) < (?, ?)"
        " ORDER BY updated_at DESC, id DESC LIMIT ?",
        (space, at, number, limit),
    )
    return [_item(row) for row in rows]


def count(db: sqlite3.Connection, space: str) -> int:
    """Return how many items a space has."""
    row = db.execute("SELECT count(*) FROM memory_items WHERE space = ?", (space,)).fetchone()
    return int(row[0])


def by_words(
    db: sqlite3.Connection, space: str, query: str, limit: int, *, telling: int | None = None
) -> Ranking:
    """Rank the items of a space by their words; other spaces only say how rare a word is."""
    # Looking at the space of each row costs several milliseconds among 50,000.
    others = db.execute(
        "SELECT EXISTS (SELECT 1 FROM memory_items WHERE space < ?)"
        " OR EXISTS (SELECT 1 FROM memory_items WHERE space > ?)",
        (space, space),
    ).fetchone()
    return rank(
        db,
        "memory_words",
        query,
        weights=WEIGHTS,
        limit=limit,
        telling=telling,
        within=f'space_word : "{space_word(space)}"' if others[0] else "",
    )


def space_word(space: str) -> str:
    """Return a space's name as one word that no text has by accident."""
    return "s" + hashlib.sha256(space.encode("utf-8", "replace")).hexdigest()


def _index(db: sqlite3.Connection, number: int) -> None:
    """Let an item be found by its words."""
    db.execute(
        "INSERT INTO memory_words(rowid, content, tags, spaced, space_word)"
        " SELECT id, content, tags, spaced, space_word FROM memory_items WHERE id = ?",
        (number,),
    )


def _unindex(db: sqlite3.Connection, number: int, *, meaning: bool) -> None:
    """Take an item out of the index before it changes, and its vector if its meaning goes."""
    db.execute(
        "INSERT INTO memory_words(memory_words, rowid, content, tags, spaced, space_word)"
        " SELECT 'delete', id, content, tags, spaced, space_word FROM memory_items WHERE id = ?",
        (number,),
    )
    if meaning:
        db.execute("DELETE FROM memory_vectors WHERE item = ?", (number,))


def _item(row: Sequence[object]) -> Item:
    number, content, tags, metadata, revision, created, updated, origin, revised = row
    facts = {
        "id": f"{PREFIX}{number}",
        "content": content,
        "tags": msgspec.json.decode(str(tags)),
        "metadata": msgspec.json.decode(str(metadata)),
        "revision": revision,
        "created_at": created,
        "updated_at": updated,
        "origin": msgspec.json.decode(str(origin)),
        "revised_by": msgspec.json.decode(str(revised)),
    }
    return msgspec.convert(facts, Item)


def _json(value: object) -> str:
    return storable(canonical_json(value).decode())
