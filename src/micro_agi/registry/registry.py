"""The registry: what there is now, how it came to be, and the one way to change it.

Readers take a snapshot and keep it; nothing they hold ever changes. Writers go through
`apply`, which asks the door, works out the new state, lets Lua be compiled, and writes a
version under the database's write lock. If another process wrote in between, everything
is asked again against the new state.

Entries from files (the baseline) are in every snapshot. When they changed on disk since
the last start, that is a version too, by `system:loader`.
"""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from micro_agi.errors import EntryConflict, EntryInvalid
from micro_agi.registry import kinds
from micro_agi.registry.baseline import Reconciled, reconcile
from micro_agi.registry.changes import Operation
from micro_agi.registry.door import Doorkeeper
from micro_agi.registry.entry import Entry, decode
from micro_agi.registry.history import History, Version, read_versions
from micro_agi.registry.plan import Plan, check_references, plan
from micro_agi.registry.record import Stale, append
from micro_agi.registry.rollback import restore_all, restore_one
from micro_agi.registry.scopes import Scopes
from micro_agi.registry.snapshot import Snapshot, build
from micro_agi.security.context import CallContext
from micro_agi.security.policy import Policy, Scope
from micro_agi.security.tenancy import GRANTS
from micro_agi.store import leases
from micro_agi.store.database import Database

Admit = Callable[[Entry], Awaitable[None]]

LOADER = "system:loader"
COMPILED = ("function.lua", "library.lua", "process.lua", "function.python")
ATTEMPTS = 50
"""Tries of one change set while other processes keep writing; each costs milliseconds."""
REASON_CHARS = 1000


class Registry:
    """Entries and their versions in one state database. Made by `open`.

    What one user may know of it is `seen.seen_by(registry, user)`.
    """

    user: str | None = None
    """Whose view it is; None is the whole."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float],
        admit: Admit | None,
        namespaces: frozenset[str],
    ) -> None:
        self.history = History(database)
        self.database = database
        self._clock = clock
        self._admit = admit
        self._namespaces = namespaces
        self._mounted: dict[str, Entry] = {}
        self._scopes = Scopes(self.is_operators)
        self._subscribers: list[Callable[[Version], None]] = []
        self._writing = asyncio.Lock()
        self._seen = database.data_version()
        self._snapshot = build(-1, (), self)
        self._applying: set[asyncio.Task[Version]] = set()

    @classmethod
    async def open(
        cls,
        database: Database,
        baseline: Sequence[Entry],
        *,
        clock: Callable[[], float] = time.time,
        admit: Admit | None = None,
    ) -> "Registry":
        """Load the state and reconcile it with the entries from files.

        `admit` compiles code before it is written; it raises EntryInvalid.
        Raises: EntryConflict for an id that occurs twice; EntryNotFound or EntryInvalid for
        an import that cannot be; StoreFailed.
        """
        registry = cls(
            database,
            clock=clock,
            admit=admit,
            namespaces=frozenset(e.namespace for e in baseline),
        )
        files = _by_id(baseline)
        for _ in range(ATTEMPTS):
            registry._seen = database.data_version()
            state = await database.read(lambda db: reconcile(db, files))
            try:
                await registry._load(state, files)
            except Stale:
                continue
            return registry
        raise _busy()

    @property
    def version(self) -> int:
        """Number of the newest version."""
        return self._snapshot.version

    def snapshot(self) -> Snapshot:
        """Return what there is now; it will not change."""
        return self._snapshot

    def get(self, entry_id: str) -> Entry:
        """Return one entry as it is now.

        Raises: EntryNotFound listing the nearest ids.
        """
        return self.snapshot().get(entry_id)

    def find(self, criteria: Mapping[str, Any] | None = None) -> list[Entry]:
        """Return the entries that meet all criteria (`find.py`), ordered by id."""
        return self.snapshot().find(criteria)

    def snapshot_at(self, number: int) -> Snapshot:
        """Return what there was after version `number`, files included.

        Raises: EntryNotFound for an unknown version.
        """
        entries = self.history.entries_at(number)
        return build(number, [*entries, *self._mounted.values()], self)

    def versions_of_call(self, session: str, call_id: str) -> list[Version]:
        """Return the versions that one tool call wrote: empty means that it wrote nothing."""
        return self.history.of_call(session, call_id)

    def is_operators(self, namespace: str) -> bool:
        """Whether entries of `namespace` were written by the operator, not by an agent."""
        return Doorkeeper(self._namespaces, Scope()).is_operators(namespace)

    def named_scope(self, group: str) -> Scope:
        """Return the policies of one group, by its full id.

        Raises: EntryNotFound for a group that no policy belongs to.
        """
        return self._scopes.named(self._snapshot, group, self.user)

    def write_scope(self) -> Scope:
        """Return the policies that govern agents' writes: all groups called `agent_security`."""
        return self._scopes.write_scope(self._snapshot, self.user or "")

    def policies(self) -> tuple[Policy, ...]:
        """Return all policies that count, ordered by id."""
        return self._scopes.policies(self._snapshot, self.user)

    def subscribe(self, told: Callable[[Version], None]) -> Callable[[], None]:
        """Call `told` on the event loop after each new version; returns how to stop that."""
        self._subscribers.append(told)
        return lambda: self._subscribers.remove(told) if told in self._subscribers else None

    def mount(self, entries: Sequence[Entry]) -> None:
        """Add entries of this process alone: visible like others, not stored, not versioned.

        For an embedder's functions, which exist as long as its program runs. Their ids
        cannot be written as long as they are mounted.
        Raises: EntryInvalid; EntryConflict for an id that is taken.
        """
        for entry in entries:
            kinds.validate(entry, source="program")
            if entry.id in self._snapshot:
                raise EntryConflict(
                    f"entry already exists: {entry.id}", where=entry.id, fix="choose another id"
                )
            self._mounted[entry.id] = entry
            self._snapshot = self._snapshot.changed(self.version, {entry.id: entry})

    async def apply(
        self,
        operations: Sequence[Operation],
        context: CallContext,
        *,
        reason: str = "",
        expected: Mapping[str, int | None] | None = None,
        report: Mapping[str, Any] | None = None,
    ) -> Version:
        """Apply a change set; `Changes.apply` says how."""
        request = _Request(tuple(operations), context, reason, expected or {}, report or {})
        # A cancelled caller must not leave the snapshot behind what was committed.
        task = asyncio.ensure_future(self._apply(request))
        self._applying.add(task)
        task.add_done_callback(self._applied)
        return await asyncio.shield(task)

    async def rollback(
        self, entry_id: str | None, *, to: int, context: CallContext, reason: str = ""
    ) -> Version:
        """Restore one entry, or all, to what they were after version `to`, as a new version.

        Policies, grants and what the runtime provides stay as they are: going back must
        not bring back what somebody was allowed before. Returns the current version when
        there is nothing to restore.
        Raises: EntryNotFound for an unknown version or entry; PolicyDenied for a policy, or
        by the door; what `Changes.apply` raises.
        """
        target = self.history.version(to)
        await self.refresh()
        if entry_id is None:
            then = {e.id: e for e in self.history.entries_at(to)}
            operations = restore_all(self.snapshot(), then, mounted=self._mounted)
        else:
            old = self.history.entry_at(entry_id, to)
            operations = restore_one(self.snapshot(), entry_id, old, mounted=self._mounted)
        if not operations:
            return self.history.version(self.version)
        now = self.snapshot()
        return await self.apply(
            operations,
            context,
            reason=reason or f"rollback to {target}",
            expected={
                o.entry_id: now.get(o.entry_id).revision if o.entry_id in now else None
                for o in operations
            },
        )

    async def refresh(self) -> bool:
        """Catch up with what other processes wrote; costs microseconds when it is nothing."""
        if self.database.data_version() == self._seen and not self._writing.locked():
            return False
        async with self._writing:
            return await self._catch_up(force=False)

    async def _load(self, state: Reconciled, files: Mapping[str, Entry]) -> None:
        """Take over what `reconcile` found, after writing what the files changed."""
        stays = state.last >= 0 and not state.changes
        number = state.last if stays else state.last + 1
        written = {i: e.at_revision(number) if e else None for i, e in state.written.items()}
        after = build(state.last, state.entries, self).changed(number, written)
        check_references(after, {i: after.get(i) for i in files if i in after})
        if stays and state.baseline:
            await self.database.write(state.remember)
        if not stays:
            version = Version(
                id=number,
                parent=state.last if state.last >= 0 else None,
                at=self._clock(),
                actor=LOADER,
                reason="files changed" if state.last >= 0 else "first start",
                operations=state.changes,
            )
            await self.database.write(
                lambda db: append(db, version, written, baseline=state.baseline), durable=True
            )
        self._snapshot = after

    async def _apply(self, request: "_Request") -> Version:
        async with self._writing:
            for attempt in range(ATTEMPTS):
                await self._catch_up(force=attempt > 0)
                planned = self._plan(request)
                await self._compile(planned)
                version = self._version(request, planned)
                entries = planned.entries

                def write(
                    db: sqlite3.Connection,
                    version: Version = version,
                    entries: Mapping[str, Entry | None] = entries,
                ) -> Version:
                    if request.context.fence:
                        leases.check(db, version.session, request.context.fence)
                    return append(db, version, entries)

                try:
                    stored = await self.database.write(write, durable=True)
                except Stale:
                    continue
                self._install(stored, entries)
                break
            else:
                raise _busy()
        await asyncio.sleep(0)  # lets the subscribers run before the caller goes on
        return stored

    def _plan(self, request: "_Request") -> Plan:
        """Ask the door and work out the new state, against the snapshot of this moment."""
        snapshot = self._snapshot
        write_scope = self._scopes.write_scope(snapshot, request.context.user)
        keeper = Doorkeeper(self._namespaces, write_scope)
        for operation in request.operations:
            keeper.check(operation, snapshot, request.context)
            self._check_place(operation)
            if operation.entry is not None:
                kinds.validate(operation.entry, source="runtime")
        planned = plan(snapshot, request.operations, expected=request.expected)
        keeper.check_names(request.operations, planned.after, request.context)
        return planned

    def _check_place(self, operation: Operation) -> None:
        if operation.entry is not None and operation.entry.id != operation.entry_id:
            raise EntryInvalid(
                f"the operation is on another entry than the one it holds: {operation.entry.id}",
                where=operation.entry_id,
                fix="build change sets with `snapshot.changes()`",
            )
        if operation.entry_id in self._mounted:
            raise EntryConflict(
                f"`{operation.entry_id}` is a function of this program",
                where=operation.entry_id,
                fix="choose another id",
            )
        entry = operation.entry
        namespace = operation.entry_id.partition(":")[0]
        if entry and entry.kind.startswith("security.") and not self.is_operators(namespace):
            known = ", ".join(sorted({GRANTS, *self._namespaces}))
            raise EntryInvalid(
                f"a policy in namespace `{namespace}` would not count",
                where=operation.entry_id,
                fix=f"put it into one of: {known}",
            )

    async def _compile(self, planned: Plan) -> None:
        for entry in planned.entries.values():
            if entry is not None and entry.kind in COMPILED and self._admit is not None:
                await self._admit(entry)

    def _version(self, request: "_Request", planned: Plan) -> Version:
        context = request.context
        reason = (request.reason or context.reason).encode("utf-8", "replace").decode()
        return Version(
            id=self.version + 1,
            parent=self.version,
            at=self._clock(),
            actor=context.actor.id,
            session=context.session,
            call_id=context.call_id,
            turn=context.turn,
            agent=context.agent,
            model=context.model,
            reason=reason[:REASON_CHARS],
            report=dict(request.report),
            operations=planned.changes,
        )

    async def _catch_up(self, *, force: bool) -> bool:
        seen = self.database.data_version()
        if seen == self._seen and not force:
            return False
        newer = await self.database.read(lambda db: _newer(db, self.version))
        self._seen = seen
        for version, entries in newer:
            self._install(version, entries)
        return bool(newer)

    def _install(self, version: Version, entries: Mapping[str, Entry | None]) -> None:
        changed = {
            entry_id: entry.at_revision(version.id) if entry else None
            for entry_id, entry in entries.items()
            if entry_id not in self._mounted
        }
        self._snapshot = self._snapshot.changed(version.id, changed)
        loop = asyncio.get_running_loop()
        for told in self._subscribers:
            loop.call_soon(told, version)

    def _applied(self, task: "asyncio.Task[Version]") -> None:
        self._applying.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; a cancelled caller does not want it


class _Request(Struct, frozen=True):
    operations: tuple[Operation, ...]
    context: CallContext
    reason: str
    expected: Mapping[str, int | None]
    report: Mapping[str, Any]


def _by_id(entries: Sequence[Entry]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for entry in entries:
        if entry.id in found:
            raise EntryConflict(
                f"two entries are called `{entry.id}`",
                where=entry.id,
                fix="give one of them another name",
            )
        found[entry.id] = entry
    return found


def _newer(db: sqlite3.Connection, number: int) -> list[tuple[Version, dict[str, Entry | None]]]:
    query = "SELECT entry, content FROM registry_operations WHERE version = ?"
    return [
        (
            version,
            {
                entry: decode(content, version.id) if content is not None else None
                for entry, content in db.execute(query, (version.id,))
            },
        )
        for version in read_versions(db, number + 1)
    ]


def _busy() -> EntryConflict:
    return EntryConflict(
        "other processes keep changing the registry",
        where=f"{ATTEMPTS} tries",
        fix="try again in a moment",
    )
