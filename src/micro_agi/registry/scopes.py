"""Policies and their groups, as the registry holds them now.

Only policies in the operator's namespaces count: an entry that anybody else could have
written must not decide anything, whatever it says it is.
"""

from collections.abc import Callable, Iterable

from micro_agi.errors import EntryNotFound
from micro_agi.registry.entry import Entry
from micro_agi.registry.snapshot import Bucket, Snapshot
from micro_agi.security.policy import Policy, Scope, parse_policy
from micro_agi.security.tenancy import GRANTS, USERS, is_owned, own, visible
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
        self._write: dict[str, list[Policy]] = {}
        """Of the groups called `agent_security`: by their namespace those that count for one
        user alone, under "" the others."""

    def policies(self, snapshot: Snapshot, user: str | None = None) -> tuple[Policy, ...]:
        """Return the policies that count and that `user` may know, ordered by id."""
        found = self._all(snapshot)
        return found if user is None else tuple(p for p in found if visible(_namespace(p), user))

    def _all(self, snapshot: Snapshot) -> tuple[Policy, ...]:
        buckets = (snapshot.bucket("kind", STATIC), snapshot.bucket("kind", EXPRESSION))
        known = self._parsed_from
        if known is None or buckets[0] is not known[0] or buckets[1] is not known[1]:
            entries = (*buckets[0].values(), *buckets[1].values())
            self._policies = tuple(self._parse(entries))
            self._write = {}
            for policy in self._policies:
                if any(_name(g) == WRITE_GROUP for g in policy.groups):
                    key = _namespace(policy) if is_owned(_namespace(policy)) else ""
                    self._write.setdefault(key, []).append(policy)
            self._parsed_from = buckets
        return self._policies

    def named(self, snapshot: Snapshot, group: str, user: str | None = None) -> Scope:
        """Return the policies of one group, by its full id.

        Raises: EntryNotFound for a group that no policy belongs to.
        """
        policies = self.policies(snapshot, user)
        members = tuple(p for p in policies if group in p.groups)
        if not members:
            known = sorted({g for p in policies for g in p.groups})
            near = nearest(group, known) or known
            raise EntryNotFound(
                f"policy group not found: {group}",
                where=group,
                fix=f"there are: {', '.join(near)}" if near else "no policy names a group",
            )
        return Scope(members)

    def write_scope(self, snapshot: Snapshot, user: str) -> Scope:
        """Return the policies of all groups called `agent_security` that count for `user`."""
        self._all(snapshot)
        keys = ("", own(GRANTS, user), own(USERS, user))
        return Scope(tuple(policy for key in keys for policy in self._write.get(key, ())))

    def _parse(self, entries: Iterable[Entry]) -> Iterable[Policy]:
        for entry in sorted(entries, key=lambda e: e.id):
            if not self._is_operators(entry.namespace):
                continue
            policy = parse_policy(entry.id, entry.data)
            # Expressions are stored and not evaluated. A deny that is silently left out
            # would open what it closes, so it denies without its condition.
            if entry.kind == STATIC or policy.effect == "deny":
                yield policy


def _namespace(policy: Policy) -> str:
    return policy.id.partition(":")[0]


def _name(group: str) -> str:
    return group.partition(":")[2]
