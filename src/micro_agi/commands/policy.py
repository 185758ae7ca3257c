"""`policy list|check`: which rules there are, and what they answer for whom and why."""

from micro_agi.agent.authority import agent_actor, agent_scope
from micro_agi.agent.spec import AgentSpec, find_agent
from micro_agi.app import Runtime
from micro_agi.commands.invocation import Invocation
from micro_agi.commands.open import open_runtime
from micro_agi.commands.output import facts, table
from micro_agi.registry.scopes import WRITE_GROUP
from micro_agi.security.actor import ROOT, Actor
from micro_agi.security.policy import Policy, Scope, Verdict

WRITES = ("registry.create", "registry.update", "registry.delete")
"""What the groups `agent_security` answer for, and nothing else (DESIGN 6)."""


async def list_policies(invocation: Invocation) -> int:
    """List the policies that count."""
    async with open_runtime(invocation) as rt:
        policies = rt.registry.policies()
    if invocation.as_json:
        invocation.say_json([_as_json(p) for p in policies])
        return 0
    if not policies:
        invocation.say("No policies: whatever an agent asks for is a question to you, or refused.")
        return 0
    rows = [(p.id, p.effect, _rule(p)) for p in policies]
    invocation.say(table(("POLICY", "EFFECT", "WHAT"), rows, width=invocation.width))
    return 0


def _rule(policy: Policy) -> str:
    text = f"{', '.join(policy.actions)} on {', '.join(policy.resources)}"
    conditions = [f"{c.field} {c.operator} {c.value_from or c.value}" for c in policy.conditions]
    if conditions:
        text += f" if {' and '.join(conditions)}"
    return text + (f" [{', '.join(policy.groups)}]" if policy.groups else "")


def _as_json(policy: Policy) -> dict[str, object]:
    return {
        "id": policy.id,
        "effect": policy.effect,
        "actions": list(policy.actions),
        "resources": list(policy.resources),
        "groups": list(policy.groups),
        "conditions": [
            {"field": c.field, "operator": c.operator, "value": c.value, "value_from": c.value_from}
            for c in policy.conditions
        ],
    }


async def check(invocation: Invocation) -> int:
    """Explain an answer; exit code 3 when it is not allowed."""
    action, resource = invocation.args.action, invocation.args.resource
    async with open_runtime(invocation) as rt:
        actor, scope, spec = _who(rt, invocation.args.actor)
        asked = "the person at the command line" if spec is None else _asked(rt, spec, action)
        if spec is not None and action in WRITES:
            scope = Scope().plus([*scope.policies, *rt.registry.write_scope().policies])
        verdict = scope.evaluate(actor, action, resource)
    if spec is None:
        verdict = Verdict(
            answer="allow", policy="system:root", action_pattern="*", resource_pattern="*"
        )
    if invocation.as_json:
        invocation.say_json(
            {
                "answer": verdict.answer,
                "actor": actor.id,
                "action": action,
                "resource": resource,
                "policy": verdict.policy,
                "action_pattern": verdict.action_pattern,
                "resource_pattern": verdict.resource_pattern,
                "why": verdict.why(),
                "then": _then(verdict, action),
            }
        )
    else:
        pattern = f"{verdict.action_pattern} on {verdict.resource_pattern}"
        invocation.say(
            f"{verdict.answer}: {actor.id} may {_may(verdict)}do `{action}` on `{resource}`"
        )
        pairs = [
            ("policy", verdict.policy),
            ("pattern", pattern if verdict.policy else ""),
            ("asked", asked),
            ("then", _then(verdict, action)),
        ]
        invocation.say(facts(pairs, width=invocation.width, indent="  "))
    return 0 if verdict.allowed else 3


def _who(rt: Runtime, wanted: str | None) -> tuple[Actor, Scope, AgentSpec | None]:
    """Return an actor with its scope; an agent also with its definition.

    Raises: EntryNotFound with the nearest agents.
    """
    if wanted == ROOT.id:
        return ROOT, Scope(), None
    name = (wanted or rt.settings.agent).removeprefix("agent:")
    spec = find_agent(rt.registry.snapshot(), name)
    scope = agent_scope(rt.registry, spec, allow_hosts=rt.settings.allow_hosts)
    return agent_actor(spec), scope, spec


def _asked(rt: Runtime, spec: AgentSpec, action: str) -> str:
    """Say which policies were asked."""
    own = [*spec.policies, *(f"group {g}" for g in spec.groups)]
    asked = [", ".join(own) if own else f"no policies of {spec.id} itself"]
    if rt.settings.allow_hosts:
        asked.append("--allow-host")
    asked.append("grants")
    if action in WRITES:
        asked.append(f"the groups called {WRITE_GROUP}")
    return "; ".join(asked)


def _may(verdict: Verdict) -> str:
    return "" if verdict.allowed else "not " if verdict.answer == "deny" else "not yet "


def _then(verdict: Verdict, action: str) -> str:
    """Say what the answer leads to."""
    if verdict.answer == "deny":
        return "refused, and nobody is asked: a deny beats every allow"
    if verdict.answer == "allow" and action in WRITES:
        return (
            "written, if it is a tool of plain kind and name: the door's floor holds for all agents"
        )
    if verdict.answer == "allow":
        return "done without a question"
    if action in WRITES:
        return "refused: an agent's write needs a policy that allows it"
    return "a question to the person, if one is there; else refused"
