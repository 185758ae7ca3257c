"""What was changed of an agent at run time, over what its definition says.

An `AgentContext` has one; it stays for all loads. Source: spec/agent.md 2.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from micro_agi.agent.delegate_tools import DelegateTools
from micro_agi.agent.spec import AgentSpec
from micro_agi.agent.traits import Merger, overlay
from micro_agi.tools.resolve import parse_reference


class Layers(Struct, kw_only=True):
    """Additions, and what goes in place of the definition's own."""

    tools: list[Any] = field(default_factory=list)
    delegates: list[Any] = field(default_factory=list)
    offer: DelegateTools = field(default_factory=DelegateTools)
    memory: Mapping[str, Any] | None = None
    merger: Merger = overlay
    active_traits: tuple[Any, ...] | None = None
    active_tools: tuple[Any, ...] | None = None

    def add_tools(self, items: Sequence[Any]) -> None:
        """Add tool references; one replaces an earlier one to the same tool and alias.

        Raises: EntryInvalid for something that is no reference.
        """
        by_key = {_key(item): item for item in (*self.tools, *items)}
        self.tools = list(by_key.values())

    def remove_tool(self, entry_id: str) -> None:
        """Take an added tool away again."""
        self.tools = [item for item in self.tools if parse_reference(item).id != entry_id]

    def over(self, spec: AgentSpec) -> AgentSpec:
        """Return the definition with what was set in place of its own."""
        if self.active_traits is not None:
            spec = replace(spec, traits=self.active_traits)
        if self.active_tools is not None:
            spec = replace(spec, tools=self.active_tools)
        if self.memory is not None:
            spec = replace(spec, memory_contract=self.memory)
        return spec


def items_of(specs: Any) -> list[Any]:
    """Return one item or several as a list; nothing as an empty one."""
    if specs is None or specs in ({}, ""):
        return []
    return list(specs) if isinstance(specs, list | tuple) else [specs]


def _key(reference: Any) -> tuple[str, str]:
    parsed = parse_reference(reference)
    return (parsed.id, parsed.alias)
