"""Look up agents, traits and tools by id, name, class or namespace.

For embedders and for other parts of the runtime; models have their own catalogue
(`Runtime.catalogue`). Everything is read from one snapshot, in the order of ids.

Source: spec/agent.md 1.2 to 1.4. Differences: a class matches a whole word, `tags` work, and
tools that cannot be offered are told as warnings instead of dropped in silence.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from micro_agi.agent.spec import AGENT_TYPE, AgentSpec, agent_spec
from micro_agi.agent.traits import TRAIT_TYPE
from micro_agi.errors import EntryInvalid, EntryNotFound
from micro_agi.messages import ToolSpec
from micro_agi.registry.entry import Entry
from micro_agi.registry.snapshot import Snapshot
from micro_agi.tools.resolve import Resolved, resolve, sanitise, tool_spec, visible_name
from micro_agi.values import nearest

TOOL_TYPE = "tool"


class Discovery(Struct, frozen=True):
    """What one snapshot of the registry has for agents."""

    snapshot: Snapshot

    def agent(self, agent_id: str) -> AgentSpec:
        """Return the agent with this id.

        Raises: EntryNotFound; EntryInvalid for an entry that is no agent.
        """
        return agent_spec(self._entry(agent_id, AGENT_TYPE, "agent"))

    def agent_named(self, name: str) -> AgentSpec:
        """Return the first agent with exactly this `meta.name`.

        Raises: EntryNotFound with the nearest names.
        """
        return agent_spec(self._named(name, AGENT_TYPE, "agent"))

    def agents(self, *, of_class: str = "", namespace: str = "") -> list[AgentSpec]:
        """Return all agents, or those of a class or of exactly one namespace."""
        specs = [agent_spec(e) for e in self._all(AGENT_TYPE, namespace)]
        return [s for s in specs if not of_class or of_class in s.classes]

    def trait(self, trait_id: str) -> Entry:
        """Return the trait with this id.

        Raises: EntryNotFound; EntryInvalid for an entry that is no trait.
        """
        return self._entry(trait_id, TRAIT_TYPE, "trait")

    def trait_named(self, name: str) -> Entry:
        """Return the first trait with exactly this `meta.name`.

        Raises: EntryNotFound with the nearest names.
        """
        return self._named(name, TRAIT_TYPE, "trait")

    def traits(self, *, namespace: str = "") -> list[Entry]:
        """Return all traits, or those of exactly one namespace."""
        return self._all(TRAIT_TYPE, namespace)

    def tool(self, tool_id: str) -> ToolSpec:
        """Return a tool as a model sees it.

        Raises: EntryNotFound; EntryInvalid for an entry that is no tool.
        """
        return tool_spec(self._entry(tool_id, TOOL_TYPE, "tool"))

    def tools(self, *, namespace: str = "", tags: Iterable[str] = ()) -> Resolved:
        """Return the tools of exactly one namespace, or of all, that have all these tags.

        Shape: sorted by name, the first of each name; what cannot be offered is a warning.
        """
        wanted = set(tags)
        entries = [
            e
            for e in self._all(TOOL_TYPE, namespace)
            if e.kind.startswith("function.") and wanted <= _texts(e.meta.get("tags"))
        ]
        found = resolve(self.snapshot, [e.id for e in entries])
        return Resolved(
            tools=tuple(sorted(found.tools, key=lambda t: t.name)), warnings=found.warnings
        )

    def tool_named(self, name: str, among: Iterable[str]) -> str:
        """Return the id of the tool that `name` means among some ids, whatever its case.

        Its visible name, its id, its `meta.name` as it is or sanitised, or the last part of
        its id.
        Raises: EntryNotFound with the nearest names.
        """
        known: dict[str, str] = {}
        for tool_id in among:
            entry = self._entry(tool_id, TOOL_TYPE, "tool")
            given = str(entry.meta.get("name") or "")
            names = (visible_name(entry), entry.id, given, sanitise(given), entry.name)
            for candidate in names:
                known.setdefault(candidate.casefold(), entry.id)
        found = known.get(name.casefold()) if name else None
        if found is None:
            near = ", ".join(nearest(name, known))
            raise EntryNotFound(
                f"No tool found with name: {name} in the provided scope",
                where="tools",
                fix=f"did you mean: {near}" if near else "name one of the given tools",
            )
        return found

    def _all(self, kind: str, namespace: str) -> list[Entry]:
        criteria = {"meta.type": kind} | ({"ns": namespace} if namespace else {})
        return self.snapshot.find(criteria)

    def _entry(self, entry_id: str, kind: str, what: str) -> Entry:
        if entry_id not in self.snapshot:
            near = nearest(entry_id, [e.id for e in self._all(kind, "")])
            raise EntryNotFound(
                f"No {what} found with ID: {entry_id}",
                where="registry",
                fix=f"did you mean: {', '.join(near)}" if near else "`micro-agi registry list`",
            )
        entry = self.snapshot.get(entry_id)
        if entry.meta.get("type") != kind:
            raise EntryInvalid(
                f"Entry is not a {what}: {entry_id}",
                where=entry_id,
                fix=f"name an entry whose meta.type is `{kind}`",
            )
        return entry

    def _named(self, name: str, kind: str, what: str) -> Entry:
        entries = self._all(kind, "")
        for entry in entries:
            if name and entry.meta.get("name") == name:
                return entry
        near = nearest(name, [str(e.meta.get("name")) for e in entries])
        raise EntryNotFound(
            f"No {what} found with name: {name}",
            where="registry",
            fix=f"did you mean: {', '.join(near)}" if near else "`micro-agi registry list`",
        )


def _texts(value: Any) -> set[str]:
    listed = [value] if isinstance(value, str) else value
    return {v for v in listed if isinstance(v, str)} if isinstance(listed, list) else set()
