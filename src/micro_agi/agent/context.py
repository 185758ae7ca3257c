"""Load agents and change them while they run: add a tool, switch the model, switch the agent.

What persists over loads: added tools and the base context. What a plain load forgets: a
model given for one load. Source: spec/agent.md 2; delegates, traits and memory are added
by the issue that runs them.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from micro_agi.agent.compile import compile_agent
from micro_agi.agent.spec import AgentSpec, find_agent, inline_spec
from micro_agi.agent.step import Runner
from micro_agi.errors import EntryInvalid, InputInvalid
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.gateway import Gateway
from micro_agi.registry.registry import Registry
from micro_agi.tools.resolve import parse_reference

ChooseModel = Callable[[str], Awaitable[ModelCard]]
"""From the model an agent wants to the one it gets; asks a person or raises InputInvalid."""


class AgentContext:
    """The current agent of one conversation, and what was added to it at run time."""

    def __init__(
        self,
        registry: Registry,
        gateway: Gateway,
        choose: ChooseModel,
        *,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        self.values: dict[str, Any] = dict(context or {})
        self._registry = registry
        self._gateway = gateway
        self._choose = choose
        self._added: list[str] = []
        self._spec: AgentSpec | None = None
        self._runner: Runner | None = None
        self._model = ""

    def add_tools(self, specs: Any) -> "AgentContext":
        """Add one tool or a list of them, by id or map; they count from the next load on.

        Raises: EntryInvalid for something that is no reference.
        """
        for item in specs if isinstance(specs, list | tuple) else [specs]:
            reference = parse_reference(item)
            if reference.id not in self._added:
                self._added.append(reference.id)
        return self

    def remove_tool(self, entry_id: str) -> None:
        """Take an added tool away again: its load failed."""
        if entry_id in self._added:
            self._added.remove(entry_id)

    def update_context(self, updates: Mapping[str, Any]) -> "AgentContext":
        """Overlay keys onto the base context."""
        self.values.update(updates)
        return self

    async def load_agent(self, spec_or_id: str | Mapping[str, Any], *, model: str = "") -> Runner:
        """Compile an agent and make it the current one; a failure leaves the old one current.

        Raises: EntryNotFound, EntryInvalid, InputInvalid when no model can be had.
        """
        snapshot = self._registry.snapshot()
        if isinstance(spec_or_id, str):
            spec = find_agent(snapshot, spec_or_id)
        else:
            spec = inline_spec(spec_or_id)
        compiled = compile_agent(spec, snapshot, added=self._added)
        card = await self._choose(model or spec.model)
        self._spec, self._model = spec, card.name
        self._runner = Runner(compiled, card, self._gateway)
        return self._runner

    async def reload(self, *, wanted: str = "") -> Runner:
        """Compile the current agent again with what was added since, on the same model.

        Raises: EntryInvalid when the tool `wanted` does not resolve; the old runner stays.
            Other tools that are gone are warnings of the compiled agent.
        """
        old = self.get_current_agent()
        snapshot = self._registry.snapshot()
        spec = old.compiled.spec
        if self._spec is not None and ":" in spec.id:
            spec = find_agent(snapshot, spec.id)
        compiled = compile_agent(spec, snapshot, added=self._added)
        if wanted and all(tool.id != wanted for tool in compiled.tools):
            said = next((w for w in compiled.warnings if wanted == w.where), None)
            raise EntryInvalid(
                said.text if said else f"`{wanted}` does not resolve",
                where=wanted,
                fix=said.fix if said else "load a tool that exists",
            )
        runner = Runner(compiled, old.card, self._gateway)
        runner.total = old.total
        self._runner = runner
        return runner

    async def switch_to_agent(self, spec_or_id: str | Mapping[str, Any]) -> Runner:
        """Make another agent the current one; added tools stay."""
        return await self.load_agent(spec_or_id)

    async def switch_to_model(self, name: str) -> Runner:
        """Run the current agent on another model.

        Raises: InputInvalid when no agent is loaded or the model cannot be had.
        """
        old = self.get_current_agent()
        card = await self._choose(name)
        runner = Runner(old.compiled, card, self._gateway)
        runner.total = old.total
        self._runner, self._model = runner, card.name
        return runner

    def get_current_agent(self) -> Runner:
        """Return the current runner.

        Raises: InputInvalid when no agent is loaded.
        """
        if self._runner is None:
            raise InputInvalid("No agent loaded", fix="call load_agent first")
        return self._runner

    def get_config(self) -> dict[str, Any]:
        """Return the current agent's id, its model and how many tools were added."""
        return {
            "current_agent_id": self._spec.id if self._spec else "",
            "current_model": self._model,
            "additional_tools_count": len(self._added),
        }
