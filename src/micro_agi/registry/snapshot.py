"""What the registry held at one moment: immutable, cheap to make, read without a lock.

Snapshots share their maps: a change among 100,000 entries copies a few hundred pointers.
One index, kept along with the entries, answers by namespace, kind, type, alias and by
what an entry needs.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from micro_agi.errors import EntryNotFound
from micro_agi.registry.changes import Changes, Door
from micro_agi.registry.entry import Entry
from micro_agi.registry.find import compile_filter
from micro_agi.registry.index import keys_of
from micro_agi.registry.persistent import PersistentMap
from micro_agi.security import tenancy
from micro_agi.values import nearest

Bucket = PersistentMap[Entry]
BULK = 500
"""Changes beyond which building the maps anew beats changing them one by one."""
_EMPTY: Bucket = PersistentMap()


class Snapshot:
    """All entries as of `version`, or those of them that one user may know (`seen_by`)."""

    __slots__ = ("_door", "_entries", "_index", "_ordered", "user", "version")

    def __init__(
        self,
        version: int,
        entries: Bucket,
        index: PersistentMap[Bucket],
        door: Door,
        user: str | None = None,
    ) -> None:
        self.version = version
        """Number of the newest version in it."""
        self._entries = entries
        self._index = index
        self._door = door
        self.user = user
        """Whose view it is; None is the operator's."""
        self._ordered: tuple[Entry, ...] | None = None

    def __repr__(self) -> str:
        return f"registry.Snapshot{{version=v{self.version}}}"

    def __len__(self) -> int:
        return len(self._entries) if self.user is None else len(self.entries())

    def __contains__(self, entry_id: str) -> bool:
        return self._get(entry_id) is not None

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries())

    def get(self, entry_id: str) -> Entry:
        """Return one entry.

        Raises: EntryNotFound listing the nearest ids.
        """
        entry = self._get(entry_id)
        if entry is None:
            raise self.not_found(entry_id)
        return entry

    def seen_by(self, user: str | None) -> "Snapshot":
        """Return what `user` may know of it: the operator's entries and the user's own.

        None is the operator, who sees everything. Costs nothing but the object: the maps are
        shared. A view never shows more than the snapshot it was made from.
        """
        if user is None or user == self.user:
            return self
        assert self.user is None, "the view of one user is asked for another's"
        return Snapshot(self.version, self._entries, self._index, self._door, user)

    def _get(self, entry_id: str) -> Entry | None:
        entry = self._entries.get(entry_id)
        if self.user is None or entry is None or self._shows(entry):
            return entry
        return None

    def _shows(self, entry: Entry) -> bool:
        return tenancy.visible(entry.namespace, self.user)

    def _shown(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        return iter(entries) if self.user is None else filter(self._shows, entries)

    def find(self, criteria: Mapping[str, Any] | None = None) -> list[Entry]:
        """Return the entries that meet all criteria, ordered by id.

        Raises: EntryInvalid for a criterion that is not known.
        """
        wanted = compile_filter(criteria)
        if not wanted.tests:
            return list(self.entries())
        hits = [e for e in self._candidates(wanted.equal) if wanted.matches(e)]
        return sorted(hits, key=_by_id)

    def namespace(self, namespace: str) -> list[Entry]:
        """Return the entries of exactly this namespace, ordered by id."""
        return sorted(self.indexed("namespace", namespace), key=_by_id)

    def entries(self) -> tuple[Entry, ...]:
        """Return all entries, ordered by id."""
        if self._ordered is None:
            self._ordered = tuple(sorted(self._shown(self._entries.values()), key=_by_id))
        return self._ordered

    def changes(self) -> Changes:
        """Start a change set. It applies to what the registry holds then, not to this snapshot."""
        return Changes(self._door)

    def indexed(self, index: str, key: str) -> Iterator[Entry]:
        """Yield the entries that `index.keys_of` files under a key, in no order."""
        return self._shown(self.bucket(index, key).values())

    def bucket(self, index: str, key: str) -> Bucket:
        """Return the map behind `indexed`; the same object as long as none of it changed.

        It is the registry's own, whoever the snapshot is for.
        """
        return self._index.get(f"{index} {key}") or _EMPTY

    def changed(
        self, version: int, entries: Mapping[str, Entry | None], *, door: Door | None = None
    ) -> "Snapshot":
        """Return a snapshot with some entries replaced, or removed where the value is None."""
        if len(entries) > BULK and len(entries) * 4 > len(self):
            kept_entries = [e for e in self._entries.values() if e.id not in entries]
            new = [e for e in entries.values() if e is not None]
            return build(version, [*kept_entries, *new], door or self._door)
        kept, index = self._entries, self._index
        for entry_id, entry in entries.items():
            old = kept.get(entry_id)
            before = frozenset(keys_of(old)) if old else frozenset()
            after = frozenset(keys_of(entry)) if entry else frozenset()
            kept = kept.changed(entry_id, entry)
            for key in before | after:
                bucket = (index.get(key) or _EMPTY).changed(
                    entry_id, entry if key in after else None
                )
                index = index.changed(key, bucket if len(bucket) else None)
        return Snapshot(version, kept, index, door or self._door, self.user)

    def not_found(self, entry_id: str) -> EntryNotFound:
        """Build the error for a missing id; looks for similar ones in its namespace first."""
        namespace = entry_id.partition(":")[0]
        same = [e.id for e in self.indexed("namespace", namespace)][:2000]
        near = nearest(entry_id, same)
        if not near and len(self._entries) <= 2000:  # comparing takes time: not among 100,000
            near = nearest(entry_id, [e.id for e in self.entries()])
        fix = f"did you mean: {', '.join(near)}" if near else "`micro-agi registry list`"
        return EntryNotFound(f"entry not found: {entry_id}", where=entry_id, fix=fix)

    def _candidates(self, equal: Mapping[str, str]) -> Iterable[Entry]:
        """Return the smallest known set that holds every entry with these exact values."""
        if "id" in equal:
            entry = self._get(equal["id"])
            return [entry] if entry else []
        buckets = [self.bucket(name.removeprefix("meta."), key) for name, key in equal.items()]
        if not buckets:
            return self._shown(self._entries.values())
        return self._shown(min(buckets, key=len).values())


def build(version: int, entries: Iterable[Entry], door: Door) -> Snapshot:
    """Make a snapshot of many entries at once; a repeated id keeps the last."""
    by_id = {e.id: e for e in entries}
    filed: dict[str, dict[str, Entry]] = {}
    for entry in by_id.values():
        for key in keys_of(entry):
            filed.setdefault(key, {})[entry.id] = entry
    index = PersistentMap({key: PersistentMap(bucket) for key, bucket in filed.items()})
    return Snapshot(version, PersistentMap(by_id), index, door)


def _by_id(entry: Entry) -> str:
    return entry.id
