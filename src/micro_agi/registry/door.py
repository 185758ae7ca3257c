"""The one door for changes: may this caller do this operation?

Two questions, and both must be answered yes for everybody but root:

- the floor: an agent writes tools and nothing else, under plain names, outside the
  operator's namespaces, and under a name no other tool has. No policy can lower it,
  because an entry of any other kind could widen what the agent may do.
- the write scope: the policies of the groups called `agent_security` must answer exactly
  "allow" for `registry.create|update|delete` on the id. Silence is a refusal.

Each operation is asked by its own id and kind, so that a harmless first one opens nothing
for the next. Source: DESIGN 6, seed 000 "Security Model".
"""

import re
from collections.abc import Sequence

from msgspec import Struct

from micro_agi.errors import PolicyDenied
from micro_agi.registry.changes import Operation
from micro_agi.registry.entry import Entry
from micro_agi.registry.index import alias_key, alias_of
from micro_agi.registry.snapshot import Snapshot
from micro_agi.security import tenancy
from micro_agi.security.context import CallContext
from micro_agi.security.policy import Scope, denial

BUILT_IN = "system"
"""Namespace of what the runtime itself provides: nobody writes there at run time."""
RESERVED = (BUILT_IN, "local", "wippy")
"""The operator's in every app; so is everything below `wippy.`, and users' grants and policies."""

TOOL_KINDS = ("function.lua", "function.python")
TOOL_META = (*("type", "title", "comment", "input_schema", "llm_alias", "llm_description", "tags"),)
TOOL_DATA = (*("source", "modules", "method", "language", "hosts", "tests", "imports", "options"),)
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
NAMESPACE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


class Doorkeeper(Struct, frozen=True):
    """What the door knows: the operator's namespaces and the write scope."""

    namespaces: frozenset[str]
    """Those that have entries from files or from the program."""
    scope: Scope
    """All policies of the groups called `agent_security`."""

    def is_operators(self, namespace: str) -> bool:
        """Whether what stands in `namespace` was written by the operator."""
        return (
            namespace in self.namespaces
            or namespace in RESERVED
            or namespace.startswith("wippy.")
            or tenancy.is_persons(namespace)
        )

    def check(self, operation: Operation, snapshot: Snapshot, context: CallContext) -> None:
        """Return quietly if `context` may do it.

        Raises: PolicyDenied saying which rule refused and what to do.
        """
        entry_id = operation.entry_id
        if context.trial is not None:
            raise _refusal(operation, "a draft that is being tried changes nothing", "trial")
        if entry_id.partition(":")[0] == BUILT_IN:
            raise _refusal(operation, "it belongs to the runtime", f"namespace `{BUILT_IN}`")
        if not tenancy.visible(entry_id.partition(":")[0], context.sees):
            raise _others(operation, context)
        if context.root:
            return
        for actor, own in context.chain:
            for scope in (self.scope, own):
                verdict = scope.evaluate(actor, operation.action, entry_id)
                # The caller's own scope need not speak of the registry, but its "deny" counts.
                if verdict.answer == "deny":
                    raise denial(verdict, operation.action, entry_id)
        self._check_id(operation)
        if context.user and entry_id.partition(":")[0] != tenancy.own(
            tenancy.GENERATED, context.user
        ):
            raise _others(operation, context)
        old = snapshot.get(entry_id) if entry_id in snapshot else None
        for entry in (old, operation.entry):
            if entry is not None:
                _check_tool(operation, entry, new=entry is operation.entry)
        for actor, _ in context.chain:
            verdict = self.scope.evaluate(actor, operation.action, entry_id)
            if not verdict.allowed:
                raise denial(verdict, operation.action, entry_id)

    def check_names(
        self, operations: Sequence[Operation], after: Snapshot, context: CallContext
    ) -> None:
        """Refuse a tool whose name another tool has in `after`, the state it would make.

        A generated tool must not be called instead of `load_tool`, nor of its neighbour.
        Raises: PolicyDenied.
        """
        for operation in operations:
            if operation.entry is not None and not context.root:
                _check_alias(operation, operation.entry, after.seen_by(context.sees))

    def _check_id(self, operation: Operation) -> None:
        namespace, _, name = operation.entry_id.partition(":")
        if self.is_operators(namespace):
            raise _refusal(
                operation,
                f"namespace `{namespace}` belongs to the operator",
                operation.entry_id,
                "write to a namespace of your own: `app.generated`",
            )
        if not NAMESPACE.fullmatch(namespace) or not NAME.fullmatch(name):
            raise _refusal(
                operation,
                "that is no plain name",
                operation.entry_id,
                "name it with a lower-case letter, then up to 63 of a-z, 0-9 and _",
            )


def _check_tool(operation: Operation, entry: Entry, *, new: bool) -> None:
    """Refuse what is no tool, both as the new content and as what it replaces or deletes."""
    kind = entry.meta.get("type")
    if entry.kind not in TOOL_KINDS or kind != "tool":
        said = f"{entry.kind} with meta.type {kind!r}" if kind is not None else entry.kind
        raise _refusal(
            operation,
            f"only tools may be written, and this is {said}",
            operation.entry_id,
            f"use one of the kinds {', '.join(TOOL_KINDS)}, with meta.type = tool",
        )
    if not new:
        return
    for part, values, known in (
        ("meta", entry.meta, TOOL_META),
        ("data", entry.data, TOOL_DATA),
    ):
        extra = [key for key in values if key not in known]
        if extra:
            raise _refusal(
                operation,
                f"a tool may not set `{part}.{extra[0]}`",
                f"{operation.entry_id} at {part}.{extra[0]}",
                f"leave it out; known are: {', '.join(known)}",
            )


def _check_alias(operation: Operation, entry: Entry, snapshot: Snapshot) -> None:
    alias = alias_of(entry)
    if "llm_alias" in entry.meta and entry.meta["llm_alias"] != alias:
        raise _refusal(operation, "its alias is no text", f"{entry.id} at meta.llm_alias")
    if not NAME.fullmatch(alias):
        raise _refusal(
            operation,
            f"`{alias}` is no tool name",
            f"{entry.id} at meta.llm_alias",
            "use a lower-case letter, then up to 63 of a-z, 0-9 and _",
        )
    others = [e.id for e in snapshot.indexed("alias", alias_key(alias)) if e.id != entry.id]
    if others:
        raise _refusal(
            operation,
            f"the name `{alias}` belongs to `{min(others)}`",
            f"{entry.id} at meta.llm_alias",
            "choose another name",
        )


def _others(operation: Operation, context: CallContext) -> PolicyDenied:
    own = tenancy.own(tenancy.GENERATED, context.user)
    return _refusal(
        operation,
        "its namespace is not this user's",
        f"user {context.user or 'none'}",
        f"write to `{own}`",
    )


def _refusal(operation: Operation, why: str, where: str, fix: str = "") -> PolicyDenied:
    return PolicyDenied(
        f"`{operation.action}` on `{operation.entry_id}` is not allowed: {why}",
        where=where,
        fix=fix,
    )
