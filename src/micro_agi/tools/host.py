"""Host modules that need the registry: `registry`, `security`, `funcs`.

Only the operator's entries can be granted them (`sandbox.modules`), so using them needs no
allow: what a policy denies is left out of listings and refused by name. Writing goes
through the registry's door with the context of the call in flight, whatever the Lua code
says about itself.

Plain JSON crosses; the Lua side makes objects of it (`worker/modules/registry.lua`).
Source: spec/runtime.md 1.5, 3.6, 4.2.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from micro_agi.errors import EntryInvalid, EntryNotFound, InputInvalid, PolicyDenied
from micro_agi.registry.entry import Entry
from micro_agi.registry.registry import Registry
from micro_agi.registry.seen import seen_by
from micro_agi.registry.snapshot import Snapshot
from micro_agi.sandbox.host.calls import HostCall, HostFunction
from micro_agi.security.actor import Actor
from micro_agi.security.context import CallContext
from micro_agi.security.policy import Policy, Scope, parse_policy
from micro_agi.tools.functions import Functions
from micro_agi.values import as_object

Run = Callable[[HostCall], Awaitable[Any]]


def registry_functions(
    registry: Registry, functions: Callable[[], Functions]
) -> dict[str, HostFunction]:
    """Return the host functions of the three modules, by their full names.

    `functions` is asked at each call: it is made after the pool that these are given to.
    """
    reading = _Reading(registry)
    writing = _Writing(registry)
    security = _Security(registry)
    calling = Calling(registry, functions)
    inside: dict[str, Run] = {
        "registry.get": reading.get,
        "registry.find": reading.find,
        "registry.entries": reading.entries,
        "registry.namespace": reading.namespace,
        "registry.snapshot": reading.snapshot,
        "registry.versions": reading.versions,
        "security.evaluate": security.evaluate,
        "security.actor": security.actor,
        "security.scope": security.scope,
        "security.can": security.can,
        "security.new_actor": security.new_actor,
        "security.new_scope": security.new_scope,
        "security.scope_change": security.scope_change,
        "security.policy": security.policy,
        "security.named_scope": security.named_scope,
        "funcs.allow": calling.allow,
    }
    outside: dict[str, Run] = {
        "registry.apply": writing.apply,
        "registry.apply_version": writing.apply_version,
        "funcs.call": calling.call,
    }
    return {
        name: HostFunction(
            run=run,
            module=name.partition(".")[0],
            outside=name in outside,
            # Strings that are no UTF-8 stay as they are from one Lua function to another.
            keep_bytes=name == "funcs.call",
            needs="worker" if name == "funcs.call" else "slot",
        )
        for name, run in (inside | outside).items()
    }


class _Reading:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def _at(self, call: HostCall, number: Any) -> Snapshot:
        registry = seen_by(self._registry, call.context.sees)
        if number is None or number == registry.version:
            return registry.snapshot()
        return registry.snapshot_at(int(number))

    async def get(self, call: HostCall) -> Any:
        entry_id = str(call.argument(0))
        if not _readable(call.context, entry_id):
            raise PolicyDenied(f"not allowed to access entry: {entry_id}", where="registry.get")
        try:
            return self._at(call, call.argument(1)).get(entry_id).as_dict()
        except EntryNotFound as error:
            raise EntryNotFound(
                f"entry not found: {entry_id}", where="registry.get", fix=error.fix
            ) from error

    async def find(self, call: HostCall) -> Any:
        criteria = as_object(call.argument(0))
        return _listed(call.context, self._at(call, call.argument(1)).find(criteria))

    async def entries(self, call: HostCall) -> Any:
        return _listed(call.context, list(self._at(call, call.argument(0)).entries()))

    async def namespace(self, call: HostCall) -> Any:
        snapshot = self._at(call, call.argument(1))
        return _listed(call.context, list(snapshot.namespace(str(call.argument(0)))))

    async def snapshot(self, call: HostCall) -> Any:
        return self._at(call, call.argument(0)).version

    async def versions(self, call: HostCall) -> Any:
        return [
            version.id for version in seen_by(self._registry, call.context.sees).history.versions()
        ]


def _readable(context: CallContext, entry_id: str) -> bool:
    return context.evaluate("registry.get", entry_id).answer != "deny"


def _listed(context: CallContext, entries: list[Entry]) -> list[Any]:
    return [e.as_dict() for e in entries if _readable(context, e.id)]


class _Writing:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def apply(self, call: HostCall) -> Any:
        call.context.forbid_denied("registry.apply", "")
        changes = self._registry.snapshot().changes()
        operations = call.argument(0)
        for operation in operations if isinstance(operations, list) else ():
            entry = as_object(as_object(operation).get("entry"))
            match as_object(operation).get("kind"):
                case "entry.create":
                    changes.create(entry)
                case "entry.update":
                    changes.update(entry)
                case "entry.delete":
                    changes.delete(str(entry.get("id")))
                case other:
                    raise EntryInvalid(f"unknown operation `{other}`", where="registry.apply")
        version = await changes.apply(call.context, reason=f"applied by {call.unit.id}")
        return version.id

    async def apply_version(self, call: HostCall) -> Any:
        call.context.forbid_denied("registry.apply_version", "")
        registry = seen_by(self._registry, call.context.sees)
        await registry.rollback(None, to=int(call.args[0]), context=call.context)
        return True


class _Security:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def actor(self, call: HostCall) -> Any:
        actor = call.context.actor
        return {"id": actor.id, "meta": dict(actor.meta)}

    async def scope(self, call: HostCall) -> Any:
        return {"policies": [_policy_facts(p) for p in call.context.scope.policies]}

    async def can(self, call: HostCall) -> Any:
        action, resource, meta = (call.argument(n) for n in range(3))
        context = call.context
        verdict = context.scope.plus(context.grants.policies).evaluate(
            context.actor, str(action), str(resource), as_object(meta)
        )
        return verdict.allowed

    async def evaluate(self, call: HostCall) -> Any:
        """Evaluate policies that the code holds, for its own use: no authority comes from it."""
        policies, actor, action, resource, meta = (call.argument(n) for n in range(5))
        facts = as_object(actor)
        listed = policies if isinstance(policies, list) else []
        scope = Scope(tuple(_policy(as_object(p)) for p in listed))
        asked = Actor(str(facts.get("id", "")), as_object(facts.get("meta")))
        return scope.evaluate(asked, str(action), str(resource), as_object(meta)).answer

    async def new_actor(self, call: HostCall) -> Any:
        call.context.forbid_denied("security.actor.create", str(call.argument(0)))
        return True

    async def new_scope(self, call: HostCall) -> Any:
        call.context.forbid_denied("security.scope.create", "custom")
        return True

    async def scope_change(self, call: HostCall) -> Any:
        call.context.forbid_denied("security.scope.create", str(call.argument(0)))
        return True

    async def policy(self, call: HostCall) -> Any:
        policy_id = str(call.argument(0))
        _permit(call.context, "security.policy.get", policy_id, "access policy")
        for policy in seen_by(self._registry, call.context.sees).policies():
            if policy.id == policy_id:
                return _policy_facts(policy)
        raise EntryNotFound(f"policy not found: {policy_id}", where="security.policy")

    async def named_scope(self, call: HostCall) -> Any:
        group = str(call.argument(0))
        _permit(call.context, "security.policy_group.get", group, "access policy group")
        scope = seen_by(self._registry, call.context.sees).named_scope(group)
        return {"policies": [_policy_facts(p) for p in scope.policies]}


def _permit(context: CallContext, action: str, resource: str, what: str) -> None:
    if context.evaluate(action, resource).answer == "deny":
        raise InputInvalid(f"permission denied: {what}", where=f"{action} on {resource}")


def _policy_facts(policy: Policy) -> dict[str, Any]:
    return {
        "id": policy.id,
        "policy": {
            "actions": list(policy.actions),
            "resources": list(policy.resources),
            "effect": policy.effect,
            "conditions": [
                {"field": c.field, "operator": c.operator, "value": c.value}
                | ({"value_from": c.value_from} if c.value_from else {})
                for c in policy.conditions
            ],
        },
        "groups": list(policy.groups),
    }


def _policy(facts: Mapping[str, Any]) -> Policy:
    return parse_policy(str(facts.get("id", "")), _without_empty_tables(facts))


def _without_empty_tables(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Undo what a trip through Lua does to empty lists: they come back as empty maps."""
    rule = dict(as_object(facts.get("policy")))
    if rule.get("conditions") == {}:
        rule["conditions"] = []
    groups = facts.get("groups")
    return {"policy": rule, "groups": groups if isinstance(groups, list) else []}


class Calling:
    """Calls of functions on behalf of Lua code: the door of `funcs` and `contract`."""

    def __init__(self, registry: Registry, functions: Callable[[], Functions]) -> None:
        self._registry = registry
        self._functions = functions

    async def allow(self, call: HostCall) -> Any:
        """Say whether the code may set context or act as somebody else in its calls."""
        right = str(call.argument(0))
        if right == "security":
            _require_security(call.context)
        else:
            call.context.forbid_denied(f"funcs.{right}", right)
        return True

    async def call(self, call: HostCall) -> Any:
        """Call the function `args[0]` with the options `args[1]` and the rest."""
        target, options = str(call.argument(0)), as_object(call.argument(1))
        # A nested call must not outlive the limit of the call around it.
        context = call.context.narrowed(depth=call.context.depth + 1, deadline=call.frame.ends)
        if "context" in options:
            values = {**context.values, **as_object(options["context"])}
            context = context.narrowed(values=values)
        if "actor" in options or "scope" in options:
            _require_security(context)
            context = self._as_somebody_else(context, options)
        return await self._functions().call(target, call.args[2:], context, keep_bytes=True)

    def _as_somebody_else(self, context: CallContext, options: Mapping[str, Any]) -> CallContext:
        """Return a context with another actor or scope: never root, never a wider door."""
        facts = as_object(options.get("actor"))
        actor = Actor(str(facts["id"]), as_object(facts.get("meta"))) if facts else context.actor
        scope = context.scope
        if "scope" in options:
            wanted = options["scope"] if isinstance(options["scope"], list) else []
            policies = seen_by(self._registry, context.sees).policies()
            known = {p.id: p for p in policies}
            scope = Scope(tuple(known[p] for p in wanted if p in known))
        return context.narrowed(root=False, actor=actor, scope=scope)


def _require_security(context: CallContext) -> None:
    """Acting as somebody else needs an allow of its own, unless root does it."""
    if not context.root:
        context.require("funcs.security", "security")
