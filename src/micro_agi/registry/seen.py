"""The registry as one user may know it: the operator's entries and the user's own.

A view of the one registry, with its doors, for everything that lists, reads or compiles on
behalf of a user: whatever takes a registry takes a view. What stands in another user's
namespaces is not there, neither now nor in history. Source: decisions/0042-users.md.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from micro_agi.errors import EntryNotFound
from micro_agi.registry.changes import Operation
from micro_agi.registry.entry import Entry
from micro_agi.registry.history import EntryRevision, History, Version
from micro_agi.registry.registry import Registry
from micro_agi.registry.snapshot import Snapshot
from micro_agi.security.context import CallContext
from micro_agi.security.tenancy import visible


def seen_by(registry: Registry, user: str | None) -> Registry:
    """Return what `user` may know of a registry; None is the operator, who sees the whole.

    A view of one user is never made another's.
    """
    if user is None or registry.user == user:
        return registry
    assert registry.user is None, "the view of one user is asked for another's"
    return _Seen(registry, user)


class _Seen(Registry):
    """Shares everything with the whole registry and keeps no state of its own."""

    def __init__(self, whole: Registry, user: str) -> None:
        self.user = user
        self.database = whole.database
        self.history = _SeenHistory(whole, user)
        self._whole = whole
        self._scopes = whole._scopes
        self._mounted = whole._mounted

    @property
    def _snapshot(self) -> Snapshot:  # type: ignore[override]  # the whole one's, never a copy
        return self._whole._snapshot

    def snapshot(self) -> Snapshot:
        return self._whole.snapshot().seen_by(self.user)

    def snapshot_at(self, number: int) -> Snapshot:
        return self._whole.snapshot_at(number).seen_by(self.user)

    def versions_of_call(self, session: str, call_id: str) -> list[Version]:
        return self._whole.versions_of_call(session, call_id)

    def is_operators(self, namespace: str) -> bool:
        return self._whole.is_operators(namespace)

    def subscribe(self, told: Callable[[Version], None]) -> Callable[[], None]:
        def seen(version: Version) -> None:
            if left := _left(version, self.user):
                told(left)

        return self._whole.subscribe(seen)

    def mount(self, entries: Sequence[Entry]) -> None:
        self._whole.mount(entries)

    async def apply(
        self,
        operations: Sequence[Operation],
        context: CallContext,
        *,
        reason: str = "",
        expected: Mapping[str, int | None] | None = None,
        report: Mapping[str, Any] | None = None,
    ) -> Version:
        return await self._whole.apply(
            operations, context, reason=reason, expected=expected, report=report
        )

    async def refresh(self) -> bool:
        return await self._whole.refresh()


class _SeenHistory(History):
    """The versions that changed something a user may know, with just those changes."""

    def __init__(self, whole: Registry, user: str) -> None:
        super().__init__(whole.database)
        self._user = user

    def versions(self) -> list[Version]:
        return [left for v in super().versions() if (left := _left(v, self._user))]

    def version(self, number: int) -> Version:
        # A version without anything to see is there, as an empty step of the chain.
        version = super().version(number)
        return _left(version, self._user) or replace(
            version, actor="", session="", call_id="", agent="", model="", reason="",
            report={}, operations=(),
        )  # fmt: skip

    def of_entry(self, entry_id: str) -> list[EntryRevision]:
        return super().of_entry(entry_id) if self._sees(entry_id) else []

    def entry_at(self, entry_id: str, number: int) -> Entry | None:
        if not self._sees(entry_id):
            raise EntryNotFound(f"entry not found: {entry_id}", where=entry_id)
        return super().entry_at(entry_id, number)

    def entries_at(self, number: int) -> list[Entry]:
        return [e for e in super().entries_at(number) if self._sees(e.id)]

    def _sees(self, entry_id: str) -> bool:
        return visible(entry_id.partition(":")[0], self._user)


def _left(version: Version, user: str | None) -> Version | None:
    """Return a version with only what `user` may know of it; None for nothing at all.

    One that somebody else's turn wrote does not say whose.
    """
    seen = tuple(o for o in version.operations if visible(o.entry_id.partition(":")[0], user))
    if not seen:
        return None
    return version if len(seen) == len(version.operations) else replace(version, operations=seen)
