"""Delegates as a model sees them: tools that another agent answers.

Source: spec/agent.md 1.5.4. Differences (DESIGN 10): declared delegates are offered unless
that is switched off, and one that does not resolve is a warning with the nearest agents.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from micro_agi.agent.spec import AGENT_TYPE
from micro_agi.errors import EntryInvalid, MicroAgiError
from micro_agi.messages import ToolSpec, Warned
from micro_agi.registry.snapshot import Snapshot
from micro_agi.tools.resolve import check_name
from micro_agi.values import as_object, nearest

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"message": {"type": "string", "description": "What to forward"}},
    "required": ["message"],
    "additionalProperties": False,
}

Exists = Callable[[str], Awaitable[bool]]
"""Whether an agent can be had that is not in the registry: the app's resolver knows."""


class DelegateTools(Struct, frozen=True, kw_only=True):
    """How delegates are offered to a model."""

    enabled: bool = True
    description_suffix: str = ""
    schema: Mapping[str, Any] | None = None
    """Of the arguments; None is one text, `message`."""


async def offered(
    snapshot: Snapshot,
    references: Iterable[Any],
    *,
    where: str,
    taken: Sequence[ToolSpec],
    context: Callable[[Mapping[str, Any]], dict[str, Any]],
    offer: DelegateTools,
    exists: Exists,
) -> tuple[list[ToolSpec], list[Warned]]:
    """Turn delegates into tools; `context` puts a delegate's own over the agent's."""
    tools: list[ToolSpec] = []
    warnings: list[Warned] = []
    names = {t.name for t in taken}
    for reference in references if offer.enabled else ():
        facts = as_object(reference)
        try:
            agent, name = await _checked(snapshot, facts, reference, where, exists)
            if name in names:
                raise EntryInvalid(
                    f"the name `{name}` is taken; delegate `{agent}` is not offered",
                    where=where,
                    fix="give it another name",
                )
        except MicroAgiError as error:
            warnings.append(Warned(text=error.what, where=error.where, fix=error.fix))
            continue
        names.add(name)
        rule = facts.get("rule") or "when appropriate"
        tools.append(
            ToolSpec(
                id=agent,
                name=name,
                description=f"Forward the request to {rule}{offer.description_suffix}",
                schema=dict(offer.schema or SCHEMA),
                context=context(as_object(facts.get("context"))),
                delegate=agent,
            )
        )
    return tools, warnings


async def _checked(
    snapshot: Snapshot, facts: Mapping[str, Any], reference: Any, where: str, exists: Exists
) -> tuple[str, str]:
    """Return the agent and the name of a delegate.

    Raises: EntryInvalid saying what is wrong with it; what the resolver raises.
    """
    agent, name = facts.get("id"), facts.get("name")
    if not isinstance(agent, str) or not isinstance(name, str):
        raise EntryInvalid(
            f"`{reference!r}` is no delegate", where=where, fix="write a map with `id` and `name`"
        )
    check_name(name, where=where)
    there = agent in snapshot and snapshot.get(agent).meta.get("type") == AGENT_TYPE
    if not there and not await exists(agent):
        agents = sorted(e.id for e in snapshot.find({"meta.type": AGENT_TYPE}))
        raise EntryInvalid(
            f"delegate `{agent}` is no agent",
            where=where,
            fix=f"there are: {', '.join(nearest(agent, agents) or agents)}",
        )
    return agent, name
