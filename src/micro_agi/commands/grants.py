"""`grants list|revoke`: the answers "always" that a person gave, and taking them back."""

from collections.abc import Sequence
from typing import Any

from micro_agi.commands.invocation import Invocation
from micro_agi.commands.open import open_runtime
from micro_agi.commands.output import count, table
from micro_agi.commands.registry_write import report
from micro_agi.errors import EntryNotFound
from micro_agi.registry.entry import Entry
from micro_agi.registry.scopes import STATIC
from micro_agi.registry.snapshot import Snapshot
from micro_agi.security.policy import parse_policy
from micro_agi.security.tenancy import GRANTS, is_grants
from micro_agi.tools.approve import verb
from micro_agi.values import nearest


async def list_grants(invocation: Invocation) -> int:
    """List what was allowed always."""
    async with open_runtime(invocation) as rt:
        snapshot = rt.registry.snapshot()
        grants = [_facts(snapshot, entry) for entry in _grants(snapshot)]
    if invocation.as_json:
        invocation.say_json(grants)
    elif not grants:
        invocation.say("Nothing is granted for always. The answer `always` to a question adds one.")
    else:
        rows = [
            (g["name"], g["state"], f"{g['tool']} may {g['may']} (for {g['agent']})")
            for g in grants
        ]
        invocation.say(table(("GRANT", "STATE", "WHAT"), rows, width=invocation.width))
    return 0


def _grants(snapshot: Snapshot) -> list[Entry]:
    """Return the grants that can be seen: one user's, or everybody's."""
    return [e for e in snapshot.find({"kind": STATIC}) if is_grants(e.namespace)]


def _facts(snapshot: Snapshot, entry: Entry) -> dict[str, Any]:
    policy = parse_policy(entry.id, entry.data)
    bound = {c.field: c.value for c in policy.conditions}
    exact = bound.get("resource")
    tool = str(entry.meta.get("tool") or bound.get("meta.tool") or "any tool")
    return {
        "name": entry.name,
        "tool": tool,
        "agent": str(entry.meta.get("agent") or bound.get("actor.id") or "any agent"),
        "may": f"{verb(policy.actions[0])} {exact}"
        if exact
        else f"{', '.join(policy.actions)} on {', '.join(policy.resources)}",
        "state": _state(snapshot, tool, bound.get("meta.tool_hash")),
    }


def _state(snapshot: Snapshot, tool: str, hash_: object) -> str:
    """Say whether a grant still has an effect: it is bound to the tool's exact content."""
    if hash_ is None:
        return "in force"
    if tool not in snapshot:
        return "tool gone"
    return "in force" if snapshot.get(tool).hash == hash_ else "tool changed"


async def revoke(invocation: Invocation) -> int:
    """Delete one grant, those of one tool, or all; the tool will be asked about again."""
    name = invocation.args.name
    async with open_runtime(invocation) as rt:
        grants = _grants(rt.registry.snapshot())
        chosen = _chosen(grants, name)
        changes = rt.registry.snapshot().changes()
        for entry in chosen:
            changes.delete(entry.id)
        version = await changes.apply(rt.root(), reason=f"grants revoke {name}")
    if invocation.as_json:
        return report(invocation, version)
    invocation.say(f"revoked {count(len(chosen), 'grant')} ({version})")
    return 0


def _chosen(grants: Sequence[Entry], name: str) -> list[Entry]:
    chosen = [g for g in grants if name in ("all", g.id, g.name, g.meta.get("tool"))]
    if chosen:
        return chosen
    names = [g.name for g in grants]
    near = nearest(name, names) or names[:5]
    raise EntryNotFound(
        f"there is no grant `{name}`" if names else "nothing is granted",
        where=GRANTS,
        fix=f"there are: {', '.join(near)}" if near else "there is nothing to revoke",
    )
