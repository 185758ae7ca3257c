"""Work out what a change set makes of a snapshot, or why it does not fit.

Deletions first, then the rest in the order it was asked for; an operation whose entry is
not there yet is tried again after the others. Several operations on one entry become one.
At the end everything that an entry needs must be there: nothing is half applied.

Pure: it reads a snapshot and returns values. Source: spec/runtime.md 1.4.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from micro_agi.errors import EntryConflict, EntryInvalid, EntryNotFound
from micro_agi.registry.changes import Operation
from micro_agi.registry.entry import Entry
from micro_agi.registry.history import Change
from micro_agi.registry.index import UNIQUE, keys_of, needs
from micro_agi.registry.snapshot import Snapshot
from micro_agi.security.tenancy import is_owned, owner

IMPORTABLE = ("library.lua", "function.lua", "function.python")
PROVIDED = ("wippy.",)
"""Namespaces whose modules the runtime provides without entries."""


class Plan(Struct, frozen=True):
    """What will be written: each entry once, None where it is deleted."""

    changes: tuple[Change, ...]
    entries: Mapping[str, Entry | None]
    after: Snapshot
    """What will be, except for the number."""


def plan(
    snapshot: Snapshot,
    operations: Sequence[Operation],
    *,
    expected: Mapping[str, int | None] | None = None,
) -> Plan:
    """Return what `operations` make of `snapshot`.

    Raises: EntryConflict, EntryNotFound or EntryInvalid, as spec/runtime.md 1.4 has them.
    """
    if not operations:
        raise EntryInvalid("no changes to apply", where="change set")
    _check_expected(snapshot, expected or {})
    entries = _fold(snapshot, operations)
    changes = tuple(_changes(snapshot, entries))
    if not changes:
        raise EntryInvalid(
            "the changes cancel each other",
            where=", ".join(sorted({o.entry_id for o in operations})),
        )
    written = {change.entry_id: entries[change.entry_id] for change in changes}
    after = snapshot.changed(snapshot.version, written)
    # An entry that comes anew may be of another kind than what others imported before.
    anew = (c.entry_id for c in changes if c.kind == "entry.create")
    users = {e.id: e for entry_id in anew for e in after.indexed("needs", entry_id)}
    check_references(after, {**users, **written})
    _check_dependants(snapshot, written)
    return Plan(changes, written, after)


def check_references(after: Snapshot, written: Mapping[str, Entry | None]) -> None:
    """Check what the new entries need, against the state after the change.

    Raises: EntryNotFound for a missing import; EntryInvalid for one of a wrong kind or a
    circle; EntryConflict for a command or variable name used twice.
    """
    for entry in written.values():
        if entry is not None:
            seen = _seen_from(after, entry)
            for needed in needs(entry):
                _check_need(seen, entry, needed)
            _check_circle(after, entry)
            _check_unique(after, entry)


def _seen_from(after: Snapshot, entry: Entry) -> Snapshot:
    """Return what an entry may need: a user's entry nothing of another user's."""
    return after.seen_by(owner(entry.namespace)) if is_owned(entry.namespace) else after


def _check_expected(snapshot: Snapshot, expected: Mapping[str, int | None]) -> None:
    for entry_id, wanted in expected.items():
        actual = snapshot.get(entry_id).revision if entry_id in snapshot else None
        if actual != wanted:
            now = f"is at revision {actual}" if actual is not None else "does not exist"
            before = f"revision {wanted}" if wanted is not None else "no such entry"
            raise EntryConflict(
                f"`{entry_id}` {now}, expected was {before}",
                where=entry_id,
                fix="read the entry again and repeat the change on what it is now",
            )


def _fold(snapshot: Snapshot, operations: Sequence[Operation]) -> dict[str, Entry | None]:
    """Apply the operations to the entries they name, waiting for those that come later."""
    state: dict[str, Entry | None] = {}
    # sorted() is stable: deletions first, otherwise as asked.
    waiting = sorted(operations, key=lambda o: o.kind != "entry.delete")
    while waiting:
        missing: list[Operation] = []
        for operation in waiting:
            old = (
                state[operation.entry_id]
                if operation.entry_id in state
                else _get(snapshot, operation.entry_id)
            )
            if operation.kind != "entry.create" and old is None:
                missing.append(operation)
            else:
                _check_operation(operation, old)
                state[operation.entry_id] = operation.entry
        if len(missing) == len(waiting):
            raise _missing(snapshot, missing[0])
        waiting = missing
    return state


def _check_operation(operation: Operation, old: Entry | None) -> None:
    if operation.kind == "entry.create" and old is not None:
        raise EntryConflict(
            f"entry already exists: {operation.entry_id}",
            where=operation.entry_id,
            fix="update it, or choose another name",
        )
    new = operation.entry
    if operation.kind == "entry.update" and old and new and old.kind != new.kind:
        raise EntryInvalid(
            f"cannot change entry kind from {old.kind} to {new.kind}",
            where=f"{operation.entry_id} at kind",
            fix="delete the entry and create the new one, in one change set",
        )


def _changes(snapshot: Snapshot, entries: Mapping[str, Entry | None]) -> Iterator[Change]:
    for entry_id, new in entries.items():
        old = _get(snapshot, entry_id)
        before, after = (old.hash if old else ""), (new.hash if new else "")
        if new is None:
            if old is not None:
                yield Change(kind="entry.delete", entry_id=entry_id, before=before, after="")
        elif old is not None and old.kind == new.kind:
            yield Change(kind="entry.update", entry_id=entry_id, before=before, after=after)
        else:
            yield Change(kind="entry.create", entry_id=entry_id, before=before, after=after)


def _check_need(after: Snapshot, entry: Entry, needed: str) -> None:
    target = _get(after, needed)
    if target is None:
        if needed.startswith(PROVIDED):
            return
        missing = after.not_found(needed)
        what = f"`{entry.id}` needs `{needed}`, which does not exist"
        raise EntryNotFound(what, where=entry.id, fix=missing.fix)
    imports = entry.kind not in ("env.variable", "process.service")
    if imports and target.kind not in IMPORTABLE:
        raise EntryInvalid(
            f"`{entry.id}` imports `{needed}`, which is no code but {target.kind}",
            where=f"{entry.id} at data.imports",
            fix=f"import one of the kinds {', '.join(IMPORTABLE)}",
        )


def _check_circle(after: Snapshot, entry: Entry) -> None:
    """Refuse imports that lead back to `entry`; walks without recursion, chains may be long."""
    came_from: dict[str, str] = dict.fromkeys(needs(entry), entry.id)
    stack = list(came_from)
    while stack:
        at = stack.pop()
        if at == entry.id:
            path = [at, came_from[at]]
            while path[-1] != entry.id:
                path.append(came_from[path[-1]])
            raise EntryInvalid(
                f"imports go in a circle: {' → '.join(reversed(path))}",
                where=f"{entry.id} at data.imports",
                fix="move what both need into a library of its own",
            )
        target = _get(after, at)
        for needed in needs(target) if target else ():
            if needed not in came_from:
                came_from[needed] = at
                stack.append(needed)


def _check_unique(after: Snapshot, entry: Entry) -> None:
    for key in keys_of(entry):
        index, _, name = key.partition(" ")
        if index in UNIQUE:
            others = sorted(e.id for e in after.indexed(index, name) if e.id != entry.id)
            if others:
                raise EntryConflict(
                    f"`{entry.id}` and `{others[0]}` have the same {UNIQUE[index]}: `{name}`",
                    where=entry.id,
                    fix="choose another name for one of them",
                )


def _check_dependants(snapshot: Snapshot, written: Mapping[str, Entry | None]) -> None:
    for entry_id, new in written.items():
        if new is not None:
            continue
        left = sorted(
            e.id
            for e in snapshot.indexed("needs", entry_id)
            if e.id not in written and not entry_id.startswith(PROVIDED)
        )
        # Those in the change set themselves were checked against the state after it.
        if left:
            raise EntryConflict(
                f"`{entry_id}` is needed by `{left[0]}`"
                + (f" and {len(left) - 1} more" if len(left) > 1 else ""),
                where=entry_id,
                fix="change or delete what needs it in the same change set",
            )


def _missing(snapshot: Snapshot, operation: Operation) -> EntryNotFound:
    near = snapshot.not_found(operation.entry_id)
    verb = "update" if operation.kind == "entry.update" else "delete"
    return EntryNotFound(
        f"entry does not exist, nothing to {verb}: {operation.entry_id}",
        where=operation.entry_id,
        fix=near.fix,
    )


def _get(snapshot: Snapshot, entry_id: str) -> Entry | None:
    return snapshot.get(entry_id) if entry_id in snapshot else None
