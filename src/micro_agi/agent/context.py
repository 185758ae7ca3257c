"""Load agents and change them while they run: add a tool, switch the model, switch the agent.

What persists over loads: added tools and delegates, the traits and tools set in place of
the agent's own, the memory contract, the base context, how delegates are offered. A switch to
another agent drops the traits and tools that were set; a plain load forgets a model given for one
load. Everything that changes what an agent is compiled to drops the loaded one, so that
nobody runs it as it was by mistake: `load_agent` again, or let the session do it.

Source: spec/agent.md 2. Methods return the context itself or the runner, and raise where
the reference returns an error.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from micro_agi.agent.authority import agent_actor, agent_scope
from micro_agi.agent.caller import StepCaller
from micro_agi.agent.compile import CompiledAgent, Compiling, compile_agent
from micro_agi.agent.layers import Layers, items_of
from micro_agi.agent.resolver import resolve_agent, resolver_function
from micro_agi.agent.schema_processors import SchemaProcessors
from micro_agi.agent.spec import AgentSpec, inline_spec
from micro_agi.agent.step import Runner
from micro_agi.agent.traits import Call, Merger, overlay
from micro_agi.errors import EntryInvalid, EntryNotFound, InputInvalid, ToolFailed
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.gateway import Gateway
from micro_agi.messages import ToolSpec
from micro_agi.registry.registry import Registry
from micro_agi.registry.snapshot import Snapshot
from micro_agi.security.actor import Actor
from micro_agi.security.context import CallContext
from micro_agi.security.policy import Scope
from micro_agi.sessions.redact import Redactor
from micro_agi.tools.approve import Approvals, Approver, Nobody
from micro_agi.tools.call import ToolCaller
from micro_agi.tools.functions import Functions

ChooseModel = Callable[[str, Mapping[str, Any]], Awaitable[ModelCard]]
"""From the model an agent wants, and its base context, to the one it gets; asks a person or
raises InputInvalid."""

RESOLVER = Actor("resolver")
"""Runs the app's resolver, before there is an agent to act as; no policy allows it anything."""
FUNCTION_TIMEOUT_S = 30.0
"""Of a function that loading or a step waits for; a worker has its own limit below it."""


class AgentParts(Struct, frozen=True, kw_only=True):
    """What agent contexts of one runtime share."""

    registry: Registry
    functions: Functions
    gateway: Gateway
    choose: ChooseModel
    caller: ToolCaller
    processors: SchemaProcessors
    permit: Callable[[], None]
    """Raises PolicyDenied as long as nobody trusts the app whose functions would run."""
    allow_hosts: Sequence[str] = ()
    tool_budget: int = 0
    """Tools that a model is shown before it has to search; 0 is no limit."""
    temperature: float | None = None
    """Of every agent, whatever its definition says; None leaves it to them."""
    max_tokens: int | None = None
    """Of every agent's replies, as `temperature`."""
    timeout_s: float = FUNCTION_TIMEOUT_S
    redactor: Redactor = field(default_factory=Redactor)
    """Takes secrets out of what a model is sent."""


class AgentContext:
    """The current agent of one conversation, and what was added to it at run time."""

    def __init__(
        self,
        parts: AgentParts,
        *,
        context: Mapping[str, Any] | None = None,
        delegate_tools: Mapping[str, Any] | None = None,
        memory_contract: Mapping[str, Any] | None = None,
        context_merger: Merger | None = None,
        caller: CallContext | None = None,
        enable_cache: bool = True,
    ) -> None:
        """Take the options of seed 003; `delegate_tools` has the keys of `configure_…`.

        `caller` is the call that its agents act for: what they do stays within that.
        Raises: InputInvalid for an unknown key of `delegate_tools`.
        """
        self.values: dict[str, Any] = dict(context or {})
        self._parts = parts
        self._on_behalf_of = caller
        self.enable_cache = enable_cache
        """Whether a service that caches conversations when told to is told to."""
        self._layers = Layers(memory=memory_contract, merger=context_merger or overlay)
        self._wanted: str | Mapping[str, Any] = ""
        """How the current agent was asked for: a reload asks the same way."""
        self._runner: Runner | None = None
        self._dropped: Runner | None = None
        """The agent that a change dropped, for `reload`."""
        self._authority: tuple[int, AgentSpec, CallContext] | None = None
        """The registry's version and the agent that the newest authority was collected for."""
        if delegate_tools:
            self._configure(delegate_tools)

    def add_tools(self, specs: Any) -> "AgentContext":
        """Add one tool or a list of them, by id or map; they count from the next load on.

        Nothing to add leaves the agent loaded. A reference replaces an earlier one to the
        same tool under the same alias.
        Raises: EntryInvalid for something that is no reference.
        """
        if items := items_of(specs):
            self._layers.add_tools(items)
            self._drop()
        return self

    def remove_tool(self, entry_id: str) -> None:
        """Take an added tool away again: its load failed. What was loaded before is back."""
        self._layers.remove_tool(entry_id)
        self._runner, self._dropped = self._runner or self._dropped, None

    def add_delegates(self, specs: Any) -> "AgentContext":
        """Add one delegate `{id, name, rule?, context?}` or a list; delegates are offered then."""
        items = items_of(specs)
        if items:
            self._layers.delegates += items
            self._layers.offer = replace(self._layers.offer, enabled=True)
            self._drop()
        return self

    def set_active_traits(self, specs: Any) -> "AgentContext":
        """Put these in place of the agent's traits; None lets its own count, [] means none."""
        self._layers.active_traits = None if specs is None else tuple(items_of(specs))
        return self._drop()

    def set_active_tools(self, specs: Any) -> "AgentContext":
        """Put these in place of the agent's own tools; added ones and those of traits stay."""
        self._layers.active_tools = None if specs is None else tuple(items_of(specs))
        return self._drop()

    def configure_delegate_tools(
        self,
        *,
        enabled: bool | None = None,
        description_suffix: str | None = None,
        default_schema: Mapping[str, Any] | None = None,
    ) -> "AgentContext":
        """Change how delegates are offered; what is not given stays.

        Raises: ArgumentsInvalid when `default_schema` is no JSON Schema.
        """
        offer = self._layers.offer
        if enabled is not None:
            offer = replace(offer, enabled=enabled)
        if description_suffix is not None:
            offer = replace(offer, description_suffix=description_suffix)
        if default_schema is not None:
            where = "delegate_tools.default_schema"
            self._parts.caller.schemas.validator(default_schema, where=where)
            offer = replace(offer, schema=default_schema)
        self._layers.offer = offer
        return self._drop()

    def set_memory_contract(self, contract: Mapping[str, Any] | None) -> "AgentContext":
        """Use this memory contract, whatever an agent's own says; None lets its own count."""
        self._layers.memory = contract
        return self._drop()

    def set_context_merger(self, merger: Merger | None) -> "AgentContext":
        """Merge contexts of traits, agents and tools with this; None merges as usual."""
        self._layers.merger = merger or overlay
        return self._drop()

    def update_context(self, updates: Mapping[str, Any] | None) -> "AgentContext":
        """Overlay keys onto the base context; nothing to overlay leaves the agent loaded."""
        if not updates:
            return self
        self.values.update(updates)
        return self._drop()

    async def load_agent(self, spec_or_id: str | Mapping[str, Any], *, model: str = "") -> Runner:
        """Compile an agent and make it the current one; a failure leaves the old one current.

        Raises: EntryNotFound, EntryInvalid, InputInvalid when no model can be had; what the
            app's resolver raises.
        """
        compiled = await self.compiled(spec_or_id)
        card = await self._parts.choose(model or compiled.spec.model, self.values)
        self._wanted = spec_or_id
        return self._make_current(compiled, card)

    async def compiled(self, spec_or_id: str | Mapping[str, Any]) -> CompiledAgent:
        """Compile an agent without making it the current one; needs no model.

        Raises: EntryNotFound, EntryInvalid; what the app's resolver raises.
        """
        snapshot = self._parts.registry.snapshot()
        return await self._compile(await self._spec(spec_or_id, snapshot), snapshot)

    async def definition(self, spec_or_id: str | Mapping[str, Any]) -> AgentSpec:
        """Return an agent's definition, from the app's resolver or the registry.

        Raises: EntryNotFound, EntryInvalid; what the app's resolver raises.
        """
        return await self._spec(spec_or_id, self._parts.registry.snapshot())

    async def reload(self, *, wanted: str = "") -> Runner:
        """Compile the agent again with what was changed since, on the same model.

        Raises: EntryInvalid when the tool `wanted` does not resolve; the old runner stays.
            Other tools that are gone are warnings of the compiled agent.
        """
        old = self._runner or self._dropped
        if old is None:
            raise InputInvalid("No agent loaded", fix="call load_agent first")
        snapshot = self._parts.registry.snapshot()
        compiled = await self._compile(await self._spec(self._wanted, snapshot), snapshot)
        if wanted and all(tool.id != wanted for tool in compiled.tools):
            said = next((w for w in compiled.warnings if wanted == w.where), None)
            raise EntryInvalid(
                said.text if said else f"`{wanted}` does not resolve",
                where=wanted,
                fix=said.fix if said else "load a tool that exists",
            )
        return self._make_current(compiled, old.card, total=old)

    async def ready(self) -> Runner:
        """Return the current runner, compiled again if a change dropped it.

        Raises: InputInvalid when no agent was loaded; what `reload` raises.
        """
        return self._runner or await self.reload()

    async def switch_to_agent(
        self, spec_or_id: str | Mapping[str, Any], *, model: str = ""
    ) -> Runner:
        """Make another agent the current one; what was added stays.

        Traits and tools that were set are dropped, unless it is the current agent under the
        same identifier.
        Raises: what `load_agent` raises.
        """
        if _identifier(spec_or_id) != _identifier(self._wanted):
            self._layers.active_traits = self._layers.active_tools = None
        return await self.load_agent(spec_or_id, model=model)

    async def switch_to_model(self, name: str) -> Runner:
        """Run the current agent on another model, until it is loaded again.

        Raises: InputInvalid when no agent is loaded or the model cannot be had.
        """
        if not name:
            raise InputInvalid("Model name is required", fix="name a model, or class:NAME")
        if self._runner is None:
            raise InputInvalid(
                "No current agent to change model for",
                fix="call load_agent first, also after a change of its tools",
            )
        card = await self._parts.choose(name, self.values)
        return self._make_current(self._runner.compiled, card, total=self._runner)

    def get_current_agent(self) -> Runner:
        """Return the current runner.

        Raises: InputInvalid when no agent is loaded, or a change dropped it.
        """
        if self._runner is None:
            raise InputInvalid("No agent loaded", fix="call load_agent first")
        return self._runner

    @property
    def tools(self) -> Mapping[str, ToolSpec]:
        """All tools of the agent by name, also while a change waits for the next load."""
        runner = self._runner or self._dropped
        return runner.tools if runner else {}

    def get_config(self) -> dict[str, Any]:
        """Return the current agent's id, its model, and what was added."""
        runner, layers = self._runner, self._layers
        return {
            "current_agent_id": runner.compiled.spec.id if runner else None,
            "current_model": runner.card.name if runner else None,
            "additional_tools_count": len(layers.tools),
            "additional_delegates_count": len(layers.delegates),
            "has_active_traits": layers.active_traits is not None,
            "has_active_tools": layers.active_tools is not None,
            "has_memory_contract": layers.memory is not None,
            "cache_enabled": self.enable_cache,
            "delegate_tools_enabled": layers.offer.enabled,
        }

    def tool_caller(self, approver: Approver | None = None) -> StepCaller:
        """Return what runs the calls of the current agent's responses, as that agent.

        `approver` answers what no policy answers; without one that is refused.
        Raises: InputInvalid when no agent is loaded; PolicyDenied when nobody trusts the app.
        """
        runner, parts = self.get_current_agent(), self._parts
        parts.permit()
        return StepCaller(
            parts.caller,
            Approvals(parts.registry, approver or Nobody()),
            self.authority(runner.compiled.spec),
            runner.extensions(parts.registry.snapshot()),
        )

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
            context = self._acting(agent_actor(spec, user), scope, agent=spec.id)
            known = self._authority = (version, spec, context)
        return known[2]

    def _acting(self, actor: Actor, scope: Scope, *, agent: str = "") -> CallContext:
        """Return a context for an actor, within that of the call this one acts for."""
        if self._on_behalf_of is not None:
            return self._on_behalf_of.delegated(actor, scope, agent=agent)
        user = self._parts.registry.user or ""
        return CallContext(actor=actor, scope=scope, agent=agent, user=user)

    def _drop(self) -> "AgentContext":
        self._dropped = self._runner or self._dropped
        self._runner = None
        return self

    def _configure(self, options: Mapping[str, Any]) -> None:
        known = ("enabled", "description_suffix", "default_schema")
        unknown = [key for key in options if key not in known]
        if unknown:
            raise InputInvalid(
                f"`{unknown[0]}` is no option of delegate tools",
                where="delegate_tools",
                fix=f"known are: {', '.join(known)}",
            )
        self.configure_delegate_tools(**options)

    async def _spec(self, spec_or_id: Any, snapshot: Snapshot) -> AgentSpec:
        if isinstance(spec_or_id, Mapping):
            return inline_spec(spec_or_id)
        if not isinstance(spec_or_id, str):
            raise InputInvalid(
                "Agent spec or identifier is required", fix="give an id, a name, or a map"
            )
        return await resolve_agent(
            snapshot,
            spec_or_id,
            call=self._caller(lambda: self._acting(RESOLVER, Scope())),
            is_operators=self._parts.registry.is_operators,
            values=self.values,
        )

    async def _exists(self, agent_id: str) -> bool:
        """Whether the app's resolver knows an agent that the registry does not have."""
        snapshot = self._parts.registry.snapshot()
        if not resolver_function(snapshot, self._parts.registry.is_operators):
            return False
        try:
            await self._spec(agent_id, snapshot)
        except EntryNotFound:
            return False
        return True

    async def _compile(self, spec: AgentSpec, snapshot: Snapshot) -> CompiledAgent:
        layers, parts = self._layers, self._parts
        how = Compiling(
            call=self._caller(lambda: self.authority(spec)),
            processors=parts.processors,
            schemas=parts.caller.schemas,
            values=self.values,
            added=layers.tools,
            delegates=layers.delegates,
            offer=layers.offer,
            exists=self._exists,
            merger=layers.merger,
            tool_budget=parts.tool_budget,
        )
        return await compile_agent(layers.over(spec), snapshot, how)

    def _make_current(
        self, compiled: CompiledAgent, card: ModelCard, *, total: Runner | None = None
    ) -> Runner:
        parts, spec = self._parts, compiled.spec
        if not self.enable_cache:
            card = replace(card, options={**card.options, "cache": False})
        runner = Runner(
            compiled,
            card,
            parts.gateway,
            call=self._caller(lambda: self.authority(spec)),
            fill=lambda values: parts.caller.filled(self.authority(spec), values),
            redactor=parts.redactor,
            temperature=parts.temperature,
            max_tokens=parts.max_tokens,
        )
        if total is not None:
            runner.total = total.total
        self._runner, self._dropped = runner, None
        return runner

    def _caller(self, authority: Callable[[], CallContext]) -> Call:
        """Return what calls functions with an authority, asked anew for each call."""
        timeout_s = self._parts.timeout_s

        async def call(entry_id: str, arguments: Sequence[Any], values: Mapping[str, Any]) -> Any:
            self._parts.permit()
            inside = authority().narrowed(values=values)
            try:
                async with asyncio.timeout(timeout_s):
                    return await self._parts.functions.call(entry_id, arguments, inside)
            except TimeoutError as error:
                raise ToolFailed(
                    f"`{entry_id}` took longer than {timeout_s:g} s", where=entry_id
                ) from error

        return call


def _identifier(spec_or_id: Any) -> Any:
    if isinstance(spec_or_id, Mapping):
        return spec_or_id.get("id") or spec_or_id.get("name")
    return spec_or_id
