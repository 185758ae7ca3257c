"""Call a function entry: find it, work out what it may do, run it.

Lua and Python run in locked workers, native functions in this process; both get the context of
exactly this call. What a function may do beyond its caller's scope is settled here and
nowhere else: the operator's entries have the modules and hosts that the operator wrote,
generated ones only the modules every tool may have and what a person granted.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

from micro_agi.errors import EntryInvalid, LimitReached
from micro_agi.messages import ApprovalAnswered, ApprovalAsked
from micro_agi.registry.entry import Entry
from micro_agi.registry.registry import Registry
from micro_agi.registry.snapshot import Snapshot
from micro_agi.sandbox.modules import MODULES, PYTHON_MODULES
from micro_agi.sandbox.pool import Pool
from micro_agi.sandbox.unit import Unit
from micro_agi.security.context import CallContext
from micro_agi.security.need import Need
from micro_agi.security.policy import Scope
from micro_agi.security.tenancy import is_owned, owner
from micro_agi.tools.approve import Approvals, Nobody
from micro_agi.tools.effects import IN_THE_SANDBOX, is_replayable, modules_of
from micro_agi.values import content_hash, nearest

MAX_DEPTH = 8
"""Nested `funcs.call`s: enough for any honest use, and a loop ends quickly."""

NativeFunction = Callable[[Any, CallContext], Awaitable[Any]]
"""A trusted function of this process: `await function(arguments, context)`.

`arguments` is the one argument of the call, usually an object; a list when there are more."""

Needs = Callable[[Any, CallContext], Sequence[Need]]
"""What a call with these arguments is about to do; answered before the function runs."""

Emit = Callable[[ApprovalAsked | ApprovalAnswered], Awaitable[None]]


async def unheard(_: object) -> None:
    """Drop an event: for calls that no session listens to."""


class Functions:
    """Everything callable in one registry."""

    def __init__(self, registry: Registry, pool: Pool) -> None:
        self.registry = registry
        self._pool = pool
        self._natives: dict[str, NativeFunction] = {}
        self._needs: dict[str, Needs] = {}
        self._units: dict[str, Unit] = {}

    def register(
        self, target: str, function: NativeFunction, *, needs: Needs | None = None
    ) -> None:
        """Make `function` what entries of kind `function.native` with this `target` run.

        What `needs` names is allowed by the caller's policies or by a person before the
        function runs; what neither allows is refused.
        """
        assert target not in self._natives, f"two native functions for `{target}`"
        self._natives[target] = function
        if needs is not None:
            self._needs[target] = needs

    async def call(
        self,
        entry_id: str,
        arguments: Sequence[Any],
        context: CallContext,
        *,
        approvals: Approvals | None = None,
        emit: Emit = unheard,
        keep_bytes: bool = False,
        printed: Callable[[str], None] | None = None,
    ) -> Any:
        """Call an entry and return its JSON value.

        Without `approvals`, what no policy answers is refused: a question cannot arise
        inside a running call. `printed` gets what Python code printed.
        Raises: EntryNotFound, EntryInvalid, PolicyDenied, ToolFailed, LimitReached.
        """
        snapshot = self.registry.snapshot().seen_by(context.sees)
        entry = snapshot.get(entry_id)
        if context.depth >= MAX_DEPTH:
            raise LimitReached(
                f"calls are nested {MAX_DEPTH} deep",
                where=entry_id,
                fix="let functions return to their caller instead of calling on",
            )
        context = context.narrowed(tool=entry_id, tool_hash=entry.hash, grants=Scope())
        context.forbid_denied("funcs.call", entry_id)
        approvals = approvals or Approvals(self.registry, Nobody())
        trusted = self.is_operators(entry)
        grants = await approvals.grants(entry, context, trusted=trusted, emit=emit)
        if entry.kind == "function.native":
            native = self._native(entry)
            given = arguments[0] if len(arguments) == 1 else list(arguments) or {}
            if asks := self._needs.get(str(entry.data.get("target"))):
                needs = asks(given, context)
                grants = grants.plus(await approvals.permits(entry, context, needs, emit=emit))
            return await native(given, context.narrowed(grants=grants))
        if grants.policies:
            context = context.narrowed(grants=grants)
        if entry.kind in IN_THE_SANDBOX:
            return await self._pool.call(
                self.unit(entry, snapshot),
                arguments,
                context=context,
                keep_bytes=keep_bytes,
                printed=printed,
            )
        raise EntryInvalid(
            f"`{entry_id}` is a `{entry.kind}`, which cannot be called",
            where=entry_id,
            fix="call an entry of kind function.lua, function.python or function.native",
        )

    def is_operators(self, entry: Entry) -> bool:
        """Whether the entry belongs to the operator: its modules and hosts are granted."""
        return self.registry.is_operators(entry.namespace)

    def replayable(self, entry: Entry) -> bool:
        """Whether the entry can have no effect outside."""
        return is_replayable(entry)

    def idempotent(self, entry: Entry) -> bool:
        """Whether the operator says that a call may run again under the same key."""
        return entry.meta.get("idempotent") is True and self.is_operators(entry)

    def _native(self, entry: Entry) -> NativeFunction:
        target = str(entry.data.get("target") or "")
        if target not in self._natives:
            near = ", ".join(nearest(target, self._natives) or sorted(self._natives))
            raise EntryInvalid(
                f"no native function is registered as `{target}`",
                where=f"{entry.id} at data.target",
                fix=f"registered are: {near}",
            )
        return self._natives[target]

    def unit(self, entry: Entry, snapshot: Snapshot) -> Unit:
        """Build what a worker runs: the source with its grants and pinned imports.

        Raises: EntryInvalid when it asks for a module that it may not have, or imports
        what is not there or is granted more than itself.
        """
        return self._unit(entry, snapshot, ())

    def _unit(self, entry: Entry, snapshot: Snapshot, path: tuple[str, ...]) -> Unit:
        if entry.id in path:
            raise EntryInvalid(
                f"imports go in a circle: {' → '.join((*path, entry.id))}", where=entry.id
            )
        if is_owned(entry.namespace):
            snapshot = snapshot.seen_by(owner(entry.namespace))
        modules = modules_of(entry)
        trusted = self.is_operators(entry)
        if not trusted:
            check_generated_modules(entry.id, modules, entry.kind)
        language: Literal["lua", "python"] = "python" if entry.kind == "function.python" else "lua"
        imports = []
        for alias, target in imports_of(entry).items():
            unit = self._unit(snapshot.get(target), snapshot, (*path, entry.id))
            if unit.language != language:
                raise EntryInvalid(
                    f"`{entry.id}` is {language} and imports `{target}`, which is {unit.language}",
                    where=f"{entry.id} at data.imports.{alias}",
                    fix="import code of the same language",
                )
            beyond = set(unit.modules) - set(modules)
            if not trusted and beyond:
                raise EntryInvalid(
                    f"`{entry.id}` imports `{target}`, which has modules it lacks: "
                    + ", ".join(sorted(beyond)),
                    where=f"{entry.id} at data.imports.{alias}",
                    fix="ask for those modules as well, or do without the import",
                )
            imports.append((alias, unit))
        facts = [entry.id, entry.hash, *(u.hash for _, u in imports)]
        key = content_hash(facts)
        if key not in self._units:
            self._units[key] = Unit(
                id=entry.id,
                source=str(entry.data.get("source") or ""),
                method=str(entry.data.get("method") or ""),
                modules=modules,
                imports=tuple(imports),
                language=language,
                hash=key,
            )
        return self._units[key]

    def draft_unit(self, entry: Entry) -> Unit:
        """Build the unit of an entry that is not in the registry yet: a draft."""
        return self._unit(entry, self.registry.snapshot(), ())

    async def tried(
        self,
        entry: Entry,
        arguments: Sequence[Any],
        context: CallContext,
        *,
        printed: Callable[[str], None],
    ) -> Any:
        """Run an entry that need not be in the registry, as a trial: nothing reaches outside.

        Raises: what `call` raises for code in the sandbox.
        """
        assert context.trial is not None, "only a trial runs what nobody called"
        unit = self.draft_unit(entry)
        return await self._pool.call(unit, arguments, context=context, printed=printed)

    async def admit(self, entry: Entry) -> None:
        """Refuse an entry whose code does not load: the registry's door asks this.

        Raises: EntryInvalid with the line.
        """
        if entry.kind in IN_THE_SANDBOX and not self.is_operators(entry):
            await self._pool.check(self.draft_unit(entry))


def imports_of(entry: Entry) -> dict[str, str]:
    """Return alias → id of an entry's imports; an id without namespace takes the entry's own."""
    imports = entry.data.get("imports") or {}
    if not isinstance(imports, Mapping):
        return {}
    return {
        alias: target if ":" in target else f"{entry.namespace}:{target}"
        for alias, target in imports.items()
    }


def check_generated_modules(where: str, modules: Sequence[str], kind: str = "function.lua") -> None:
    """Refuse a module that tools written by an agent may not have.

    Raises: EntryInvalid naming those they may have.
    """
    known = PYTHON_MODULES if kind == "function.python" else MODULES
    allowed = sorted(name for name, module in known.items() if module.generated)
    for number, module in enumerate(modules):
        if module not in allowed:
            near = nearest(module, allowed, count=1)
            hint = f"`{near[0]}`? or " if near else ""
            raise EntryInvalid(
                f"module `{module}` is not one that tools may use",
                where=f"{where} at data.modules[{number}]",
                fix=f"remove it, or ask for {hint}one of: {', '.join(allowed)}",
            )
