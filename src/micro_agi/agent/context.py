"""Load agents and change them while they run: add a tool, switch the model, switch the agent.

What persists over loads: added tools and delegates, the base context, how delegates are
offered. What a plain load forgets: a model given for one load. Source: spec/agent.md 2.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from micro_agi.agent.authority import agent_actor, agent_scope
from micro_agi.agent.compile import CompiledAgent, DelegateTools, compile_agent
from micro_agi.agent.spec import AgentSpec, find_agent, inline_spec
from micro_agi.agent.step import Runner
from micro_agi.errors import EntryInvalid, InputInvalid
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.gateway import Gateway
from micro_agi.registry.registry import Registry
from micro_agi.registry.snapshot import Snapshot
from micro_agi.security.context import CallContext
from micro_agi.tools.functions import Functions
from micro_agi.tools.resolve import parse_reference

ChooseModel = Callable[[str], Awaitable[ModelCard]]
"""From the model an agent wants to the one it gets; asks a person or raises InputInvalid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentParts:
    """What agent contexts of one runtime share."""

    registry: Registry
    functions: Functions
    gateway: Gateway
    choose: ChooseModel
    allow_hosts: Sequence[str] = ()


class AgentContext:
    """The current agent of one conversation, and what was added to it at run time."""

    def __init__(self, parts: AgentParts, *, context: Mapping[str, Any] | None = None) -> None:
        self.values: dict[str, Any] = dict(context or {})
        self._parts = parts
        self._added: list[Any] = []
        self._delegates: list[Any] = []
        self._offer = DelegateTools()
        self._inline: Mapping[str, Any] | None = None
        self._runner: Runner | None = None
        self._authority: tuple[int, AgentSpec, CallContext] | None = None
        """The registry's version and the agent that the newest authority was collected for."""

    def add_tools(self, specs: Any) -> "AgentContext":
        """Add one tool or a list of them, by id or map; they count from the next load on.

        Raises: EntryInvalid for something that is no reference.
        """
        known = {parse_reference(item).id for item in self._added}
        for item in specs if isinstance(specs, list | tuple) else [specs]:
            if parse_reference(item).id not in known:
                self._added.append(item)
        return self

    def remove_tool(self, entry_id: str) -> None:
        """Take an added tool away again: its load failed."""
        self._added = [item for item in self._added if parse_reference(item).id != entry_id]

    def add_delegates(self, specs: Any) -> "AgentContext":
        """Add one delegate `{id, name, rule?, context?}` or a list; for the next load on."""
        self._delegates += specs if isinstance(specs, list | tuple) else [specs]
        return self

    def configure_delegate_tools(
        self,
        *,
        enabled: bool | None = None,
        description_suffix: str | None = None,
        default_schema: Mapping[str, Any] | None = None,
    ) -> "AgentContext":
        """Change how delegates are offered; what is not given stays."""
        if enabled is not None:
            self._offer = replace(self._offer, enabled=enabled)
        if description_suffix is not None:
            self._offer = replace(self._offer, description_suffix=description_suffix)
        if default_schema is not None:
            self._offer = replace(self._offer, schema=default_schema)
        return self

    def update_context(self, updates: Mapping[str, Any]) -> "AgentContext":
        """Overlay keys onto the base context."""
        self.values.update(updates)
        return self

    async def load_agent(self, spec_or_id: str | Mapping[str, Any], *, model: str = "") -> Runner:
        """Compile an agent and make it the current one; a failure leaves the old one current.

        Raises: EntryNotFound, EntryInvalid, InputInvalid when no model can be had.
        """
        compiled = await self.compiled(spec_or_id)
        card = await self._parts.choose(model or compiled.spec.model)
        self._inline = None if isinstance(spec_or_id, str) else spec_or_id
        self._runner = self._new_runner(compiled, card)
        return self._runner

    async def compiled(self, spec_or_id: str | Mapping[str, Any]) -> CompiledAgent:
        """Compile an agent without making it the current one; needs no model.

        Raises: EntryNotFound, EntryInvalid.
        """
        snapshot = self._parts.registry.snapshot()
        if isinstance(spec_or_id, str):
            spec = find_agent(snapshot, spec_or_id)
        else:
            spec = inline_spec(spec_or_id)
        return await self._compile(spec, snapshot)

    async def reload(self, *, wanted: str = "") -> Runner:
        """Compile the current agent again with what was added since, on the same model.

        Raises: EntryInvalid when the tool `wanted` does not resolve; the old runner stays.
            Other tools that are gone are warnings of the compiled agent.
        """
        old = self.get_current_agent()
        snapshot = self._parts.registry.snapshot()
        spec = old.compiled.spec
        if self._inline is None:
            spec = find_agent(snapshot, spec.id)
        compiled = await self._compile(spec, snapshot)
        if wanted and all(tool.id != wanted for tool in compiled.tools):
            said = next((w for w in compiled.warnings if wanted == w.where), None)
            raise EntryInvalid(
                said.text if said else f"`{wanted}` does not resolve",
                where=wanted,
                fix=said.fix if said else "load a tool that exists",
            )
        self._runner = self._new_runner(compiled, old.card, total=old)
        return self._runner

    async def switch_to_agent(self, spec_or_id: str | Mapping[str, Any]) -> Runner:
        """Make another agent the current one; what was added stays."""
        return await self.load_agent(spec_or_id)

    async def switch_to_model(self, name: str) -> Runner:
        """Run the current agent on another model.

        Raises: InputInvalid when no agent is loaded or the model cannot be had.
        """
        old = self.get_current_agent()
        card = await self._parts.choose(name)
        self._runner = self._new_runner(old.compiled, card, total=old)
        return self._runner

    def get_current_agent(self) -> Runner:
        """Return the current runner.

        Raises: InputInvalid when no agent is loaded.
        """
        if self._runner is None:
            raise InputInvalid("No agent loaded", fix="call load_agent first")
        return self._runner

    def get_config(self) -> dict[str, Any]:
        """Return the current agent's id, its model, and what was added."""
        runner = self._runner
        return {
            "current_agent_id": runner.compiled.spec.id if runner else "",
            "current_model": runner.card.name if runner else "",
            "additional_tools_count": len(self._added),
            "additional_delegates_count": len(self._delegates),
            "delegate_tools_enabled": self._offer.enabled,
        }

    def authority(self, spec: AgentSpec) -> CallContext:
        """Return what an agent may do now, as the context of its turns and its traits' functions.

        Collected anew when the registry or the agent changed.
        Raises: EntryNotFound for a policy that its entry names and that does not exist.
        """
        parts, known = self._parts, self._authority
        version = parts.registry.version
        if known is None or known[0] != version or known[1] is not spec:
            scope = agent_scope(parts.registry, spec, allow_hosts=parts.allow_hosts)
            user = parts.registry.user or ""
            context = CallContext(
                actor=agent_actor(spec, user), scope=scope, user=user, agent=spec.id
            )
            known = self._authority = (version, spec, context)
        return known[2]

    async def _compile(self, spec: AgentSpec, snapshot: Snapshot) -> CompiledAgent:
        return await compile_agent(
            spec,
            snapshot,
            call=self._caller(spec),
            added=self._added,
            delegates=self._delegates,
            values=self.values,
            offer=self._offer,
        )

    def _new_runner(
        self, compiled: CompiledAgent, card: ModelCard, *, total: Runner | None = None
    ) -> Runner:
        runner = Runner(compiled, card, self._parts.gateway, call=self._caller(compiled.spec))
        if total is not None:
            runner.total = total.total
        return runner

    def _caller(self, spec: AgentSpec) -> Callable[..., Awaitable[Any]]:
        async def call(entry_id: str, arguments: Sequence[Any], values: Mapping[str, Any]) -> Any:
            context = self.authority(spec).narrowed(values=values)
            return await self._parts.functions.call(entry_id, arguments, context)

        return call
