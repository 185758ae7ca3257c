"""What an agent may do: its actor and its scope.

An agent's scope is the policies and groups its entry names under `security`, the standing
grants in `app.grants` (of its user), and the hosts given on the command line. What these leave
undefined is a question to a person (`tools.approve`). Source: DESIGN 6.
"""

from collections.abc import Sequence

from micro_agi.agent.spec import AgentSpec
from micro_agi.registry.registry import Registry
from micro_agi.registry.snapshot import Snapshot
from micro_agi.security.actor import Actor
from micro_agi.security.hosts import allow_policies, url_patterns
from micro_agi.security.policy import Policy, Scope, parse_policy
from micro_agi.security.tenancy import GRANTS, own


def agent_actor(spec: AgentSpec, user: str = "") -> Actor:
    """Return the actor that an agent always runs as; its meta names the user it works for."""
    return Actor(f"agent:{spec.id}", {"user": user} if user else {})


def agent_scope(registry: Registry, spec: AgentSpec, *, allow_hosts: Sequence[str]) -> Scope:
    """Collect the policies that answer for an agent.

    Raises: EntryNotFound for a policy that its entry names and that does not exist: a
        missing deny must not fail open.
    """
    snapshot = registry.snapshot()
    policies = [parse_policy(p, snapshot.get(p).data) for p in spec.policies]
    for group in spec.groups:
        policies += registry.named_scope(group).policies
    policies += _grants(snapshot, registry.user or "")
    policies += command_line_policies(allow_hosts)
    return Scope().plus(policies)


def _grants(snapshot: Snapshot, user: str) -> list[Policy]:
    return [
        parse_policy(e.id, e.data)
        for e in snapshot.namespace(own(GRANTS, user))
        if e.kind == "security.policy"
    ]


def command_line_policies(allow_hosts: Sequence[str]) -> list[Policy]:
    """Return the policies of `--allow-host`.

    Raises: InputInvalid for a pattern that names no host.
    """
    return [
        policy
        for number, text in enumerate(allow_hosts)
        for pattern in url_patterns(text)
        for policy in allow_policies(f"command-line:allow_host_{number}", pattern)
    ]
