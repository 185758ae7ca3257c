"""Policies and their groups, as the registry holds them now.

Only policies in the operator's namespaces count: an entry that anybody else could have
written must not decide anything, whatever it says it is.
"""

from collections.abc import Callable, Iterable

from micro_agi.errors import EntryNotFound
from micro_agi.registry.entry import Entry
from micro_agi.registry.snapshot import Bucket, Snapshot
from micro_agi.security.policy import Policy, Scope, parse_policy
from micro_agi.values import nearest

WRITE_GROUP = "agent_security"
"""Name of the groups, in any of the operator's namespaces, that govern agents' writes."""
STATIC = "security.policy"
EXPRESSION = "security.policy.expr"


class Scopes:
    """Parses the policies of a snapshot once, and again only when one of them changed."""

    def __init__(self, is_operators: Callable[[str], bool]) -> None:
        self._is_operators = is_operators
        self._parsed_from: tuple[Bucket, Bucket] | None = None
        self._policies: tuple[Policy, ...] = ()
        self._write = Scope()

    def policies(self, snapshot: Snapshot) -> tuple[Policy, ...]:
        """Return all policies that count, ordered by id."""
        buckets = (snapshot.bucket("kind", STATIC), snapshot.bucket("kind", EXPRESSION))
        known = self._parsed_from
        if known is None or buckets[0] is not known[0] or buckets[1] is not known[1]:
            entries = (*buckets[0].values(), *buckets[1].values())
            self._policies = tuple(self._parse(entries))
            self._write = Scope(
                tuple(p for p in self._policies if any(_name(g) == WRITE_GROUP for g in p.groups))
            )
            self._parsed_from = buckets
        return self._policies

    def named(self, snapshot: Snapshot, group: str) -> Scope:
        """Return the policies of one group, by its full id.

        Raises: EntryNotFound for a group that no policy belongs to.
        """
        members = tuple(p for p in self.policies(snapshot) if group in p.groups)
        if not members:
            known = sorted({g for p in self._policies for g in p.groups})
            near = nearest(group, known) or known
            raise EntryNotFound(
                f"policy group not found: {group}",
                where=group,
                fix=f"there are: {', '.join(near)}" if near else "no policy names a group",
            )
        return Scope(members)

    def write_scope(self, snapshot: Snapshot) -> Scope:
        """Return the policies of all groups called `agent_security`."""
        self.policies(snapshot)
        return self._write

    def _parse(self, entries: Iterable[Entry]) -> Iterable[Policy]:
        for entry in sorted(entries, key=lambda e: e.id):
            if not self._is_operators(entry.namespace):
                continue
            policy = parse_policy(entry.id, entry.data)
            # Expressions are stored and not evaluated. A deny that is silently left out
            # would open what it closes, so it denies without its condition.
            if entry.kind == STATIC or policy.effect == "deny":
                yield policy


def _name(group: str) -> str:
    return group.partition(":")[2]
