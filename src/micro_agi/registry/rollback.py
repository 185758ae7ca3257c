"""Work out the change set that restores older content. History only ever moves forward.

Never restored: policies and grants, since going back must not bring back what somebody
was allowed before; what the runtime or an embedder provides, since it is not theirs.
Source: DESIGN 5.
"""

from collections.abc import Collection, Iterable, Mapping

from micro_agi.errors import PolicyDenied
from micro_agi.registry.changes import Operation
from micro_agi.registry.door import BUILT_IN
from micro_agi.registry.entry import Entry
from micro_agi.registry.snapshot import Snapshot
from micro_agi.security.tenancy import is_persons


def restore_all(
    now: Snapshot, then: Mapping[str, Entry], *, mounted: Collection[str]
) -> list[Operation]:
    """Return the operations that lead from `now` to `then`, leaving out what is never restored."""
    ids = sorted({*then, *(e.id for e in now)})
    return [
        step
        for entry_id in ids
        if not _fixed(entry_id, (_get(now, entry_id), then.get(entry_id)), mounted)
        for step in _steps(entry_id, _get(now, entry_id), then.get(entry_id))
    ]


def restore_one(
    now: Snapshot, entry_id: str, then: Entry | None, *, mounted: Collection[str]
) -> list[Operation]:
    """Return the operations that restore one entry; none when it is as it was.

    Raises: EntryNotFound when it is neither there now nor was then; PolicyDenied for one
    that is never restored.
    """
    current = _get(now, entry_id)
    if current is None and then is None:
        raise now.not_found(entry_id)
    steps = list(_steps(entry_id, current, then))
    if steps and _fixed(entry_id, (current, then), mounted):
        raise PolicyDenied(
            f"`{entry_id}` is never restored by a rollback",
            where="policies, grants and what the runtime provides",
            fix="write it again: `micro-agi registry apply`",
        )
    return steps


def _get(snapshot: Snapshot, entry_id: str) -> Entry | None:
    return snapshot.get(entry_id) if entry_id in snapshot else None


def _fixed(entry_id: str, entries: Iterable[Entry | None], mounted: Collection[str]) -> bool:
    namespace = entry_id.partition(":")[0]
    if namespace == BUILT_IN or is_persons(namespace) or entry_id in mounted:
        return True
    return any(e and e.kind.startswith(("security.", "function.native")) for e in entries)


def _steps(entry_id: str, now: Entry | None, then: Entry | None) -> Iterable[Operation]:
    if now is not None and then is not None and now.kind == then.kind:
        if now.hash != then.hash:
            yield Operation("entry.update", entry_id, then)
        return
    if now is not None:
        yield Operation("entry.delete", entry_id, None)
    if then is not None:
        yield Operation("entry.create", entry_id, then)
