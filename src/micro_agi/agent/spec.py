"""An agent's definition, read from an `agent.gen1` entry or given inline.

Source: spec/agent.md 1.1. `thinking_effort` of the model entry is the default of the
agent's own (trap T1: the reference ignores it).
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from micro_agi.errors import EntryInvalid, EntryNotFound
from micro_agi.registry.door import RESERVED
from micro_agi.registry.entry import Entry
from micro_agi.registry.snapshot import Snapshot
from micro_agi.values import nearest

AGENT_TYPE = "agent.gen1"
DEFAULT_MAX_TOKENS = 512
INLINE = "inline-agent"
"""Id of a definition that has neither an id nor a name."""


class AgentSpec(Struct, frozen=True, kw_only=True):
    """One agent as defined, before its references are resolved."""

    id: str
    name: str = ""
    title: str = ""
    description: str = ""
    prompt: str = ""
    model: str = ""
    max_tokens: int = DEFAULT_MAX_TOKENS
    temperature: float | None = None
    thinking_effort: int | None = None
    tools: tuple[Any, ...] = ()
    traits: tuple[Any, ...] = ()
    delegates: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    """`agent_options`: what a host wants to know about the agent; traits may add to it."""
    memory: tuple[str, ...] = ()
    context: Mapping[str, Any] = field(default_factory=dict)
    policies: tuple[str, ...] = ()
    """Policy entries that are its scope, besides what `groups` hold."""
    groups: tuple[str, ...] = ()
    memory_contract: Mapping[str, Any] = field(default_factory=dict)
    start_prompts: tuple[Any, ...] = ()
    """What a surface may offer as a first message."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """All of the entry's `meta`, word for word."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes it belongs to, for `Discovery.agents` and the selector."""
        given = self.meta.get("class")
        listed = [given] if isinstance(given, str) else given
        return tuple(c for c in listed if isinstance(c, str)) if isinstance(listed, list) else ()


def agent_spec(entry: Entry) -> AgentSpec:
    """Read an agent entry.

    Raises: EntryInvalid when it is no agent, or a field has the wrong type.
    """
    if entry.meta.get("type") != AGENT_TYPE:
        raise EntryInvalid(
            f"Entry is not a gen1 agent: {entry.id}",
            where=entry.id,
            fix=f"name an entry whose meta.type is `{AGENT_TYPE}`",
        )
    meta = {
        "name": entry.meta.get("name") or "",
        "title": entry.meta.get("title") or "",
        "description": entry.meta.get("comment") or "",
        "meta": entry.meta,
    }
    return inline_spec({**entry.data, **meta, "id": entry.id})


def inline_spec(value: Mapping[str, Any]) -> AgentSpec:
    """Read a definition given as a map with the keys of an agent entry.

    Raises: EntryInvalid naming the field.
    """
    agent_id = _field(value, "id", str, "") or _field(value, "name", str, "") or INLINE
    security = _field(value, "security", Mapping, {})
    namespace = agent_id.partition(":")[0] if ":" in agent_id else ""
    return AgentSpec(
        id=agent_id,
        name=_field(value, "name", str, ""),
        title=_field(value, "title", str, ""),
        description=_field(value, "description", str, ""),
        prompt=_field(value, "prompt", str, ""),
        model=_field(value, "model", str, ""),
        max_tokens=_field(value, "max_tokens", int, DEFAULT_MAX_TOKENS),
        temperature=_field(value, "temperature", (int, float), None),
        thinking_effort=_effort(value),
        tools=tuple(_field(value, "tools", list, [])),
        traits=tuple(_field(value, "traits", list, [])),
        delegates=tuple(_field(value, "delegates", list, [])),
        options=_field(value, "agent_options", Mapping, {}),
        memory=tuple(str(m) for m in _field(value, "memory", list, [])),
        context=_field(value, "context", Mapping, {}),
        policies=tuple(_full(p, namespace) for p in _field(security, "policies", list, [])),
        groups=tuple(_full(g, namespace) for g in _field(security, "groups", list, [])),
        memory_contract=_field(value, "memory_contract", Mapping, {}),
        start_prompts=tuple(_field(value, "start_prompts", list, [])),
        meta=_field(value, "meta", Mapping, {}),
    )


def _effort(value: Mapping[str, Any]) -> int | None:
    effort = _field(value, "thinking_effort", (int, float), None)
    return None if effort is None else round(effort)


def _field(value: Mapping[str, Any], key: str, wanted: Any, default: Any) -> Any:
    found = value.get(key)
    if found is None or (wanted is list and found == {}):  # an empty Lua table
        return default
    if not isinstance(found, wanted) or (isinstance(found, bool) and wanted is not bool):
        names = wanted if isinstance(wanted, tuple) else (wanted,)
        raise EntryInvalid(
            f"`{key}` of agent `{value.get('id') or INLINE}` is a {type(found).__name__}",
            where=f"{value.get('id') or INLINE} at {key}",
            fix=f"write a {' or '.join(n.__name__ for n in names)}",
        )
    return found


def _full(name: Any, namespace: str) -> str:
    return str(name) if ":" in str(name) else f"{namespace}:{name}"


def find_agent(snapshot: Snapshot, wanted: str) -> AgentSpec:
    """Find an agent by id, else by `meta.name`; without a name, the first one there is.

    Raises: EntryNotFound with the nearest agents; EntryInvalid for an entry that is none.
    """
    if wanted and wanted in snapshot:
        return agent_spec(snapshot.get(wanted))
    # The app's own before those that come with the runtime.
    found = snapshot.find({"meta.type": AGENT_TYPE})
    agents = sorted(found, key=lambda e: (e.namespace in RESERVED, e.id))
    for entry in agents:
        if not wanted or wanted == entry.meta.get("name"):
            return agent_spec(entry)
    raise EntryNotFound(
        f"No agent found with ID: {wanted}" if wanted else "this app has no agent",
        where="registry",
        fix=near_agents(snapshot, wanted),
    )


def near_agents(snapshot: Snapshot, wanted: str) -> str:
    """Say which agents of the registry there are, those whose id or name is nearest."""
    agents = snapshot.find({"meta.type": AGENT_TYPE})
    known = sorted({e.id for e in agents} | {str(e.meta.get("name")) for e in agents})
    near = nearest(wanted, known) or known[:5]
    return f"there are: {', '.join(near)}" if near else "add an entry with meta.type agent.gen1"
