"""A change set: what to create, update and delete, applied as one or not at all.

Building checks nothing but shapes; everything else happens in `apply`, at the door
(`door.py`) and against what the registry holds then, not what it held when the builder
was made. A builder may be applied again.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from micro_agi.registry.entry import Entry, from_dict, read_id
from micro_agi.registry.history import OperationKind, Version
from micro_agi.security.context import CallContext


class Operation(Struct, frozen=True):
    """One step of a change set."""

    kind: OperationKind
    entry_id: str
    entry: Entry | None
    """None for a deletion."""

    @property
    def action(self) -> str:
        """What a policy is asked: `registry.create`, `registry.update`, `registry.delete`."""
        return self.kind.replace("entry.", "registry.", 1)

    def as_dict(self) -> dict[str, Any]:
        """Return `{kind = "entry.create", entry = {…}}`, as Lua's `changes:ops()` gives it."""
        entry = self.entry.as_dict() if self.entry else {"id": self.entry_id}
        return {"kind": self.kind, "entry": entry}


class Door(Protocol):
    """What applies change sets: the registry."""

    async def apply(
        self,
        operations: Sequence[Operation],
        context: CallContext,
        *,
        reason: str = "",
        expected: Mapping[str, int | None] | None = None,
        report: Mapping[str, Any] | None = None,
    ) -> Version: ...


class Changes:
    """A builder of a change set. Made by `Snapshot.changes`."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._operations: list[Operation] = []

    def __repr__(self) -> str:
        return f"registry.Changes{{ops={len(self._operations)}}}"

    def create(self, entry: Entry | Mapping[str, Any]) -> "Changes":
        """Add an entry that must not exist yet.

        Raises: EntryInvalid for a missing id or kind.
        """
        return self._add("entry.create", entry)

    def update(self, entry: Entry | Mapping[str, Any]) -> "Changes":
        """Replace an entry as a whole; its kind must stay.

        Raises: EntryInvalid for a missing id or kind.
        """
        return self._add("entry.update", entry)

    def delete(self, entry_id: str | Mapping[str, Any]) -> "Changes":
        """Remove an entry, given by its id or `{ns, name}`.

        Raises: EntryInvalid for anything else.
        """
        name = str(read_id(entry_id))
        self._operations.append(Operation("entry.delete", name, None))
        return self

    def ops(self) -> tuple[Operation, ...]:
        """Return the operations in the order of the calls."""
        return tuple(self._operations)

    async def apply(
        self,
        context: CallContext,
        *,
        reason: str = "",
        expected: Mapping[str, int | None] | None = None,
        report: Mapping[str, Any] | None = None,
    ) -> Version:
        """Apply all operations, or none, with the authority of `context`.

        Shape: `expected` gives, for some ids, the revision that the entry must have
        (None: it must not exist); `report` is kept with the version (the gate's findings).
        Raises: PolicyDenied; EntryConflict, EntryNotFound or EntryInvalid for what does not
        fit; StoreFailed.
        """
        return await self._door.apply(
            self.ops(), context, reason=reason, expected=expected, report=report
        )

    def _add(self, kind: OperationKind, value: Entry | Mapping[str, Any]) -> "Changes":
        # An Entry is copied too: its maps may still be in the hands of the caller.
        entry = from_dict(value.as_dict() if isinstance(value, Entry) else value)
        self._operations.append(Operation(kind, entry.id, entry))
        return self
