"""Compile a definition into what a step needs: system prompt, tools, model, warnings.

Source: spec/agent.md 1.5. Tools come in this order, and of two with one visible name the
first stays (DESIGN 10): the agent's own, those added at run time, those of its traits in
their order, its delegates. Contexts are merged in one place (`_Contexts`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct, field

from micro_agi.agent.delegate_tools import DelegateTools, Exists, offered
from micro_agi.agent.extensions import Extension, in_order, merged, with_memory
from micro_agi.agent.recall import MemoryContract, read_contract
from micro_agi.agent.schema_processors import SchemaProcessors
from micro_agi.agent.spec import AgentSpec
from micro_agi.agent.tool_search import TOOL_SEARCH, shown
from micro_agi.agent.traits import (
    Call,
    Clock,
    Contribution,
    Merger,
    StepFunction,
    contributions,
    overlay,
)
from micro_agi.errors import EntryInvalid, EntryNotFound
from micro_agi.messages import ToolSpec, Warned
from micro_agi.registry.snapshot import Snapshot
from micro_agi.tools.env import is_declared
from micro_agi.tools.placeholders import fill
from micro_agi.tools.resolve import Resolved, resolve, tool_spec
from micro_agi.tools.schemas import Schemas, with_placeholder
from micro_agi.values import as_object

MEMORY_TITLE = "## Your memory contains:"


class CompiledAgent(Struct, frozen=True, kw_only=True):
    """An agent ready to run."""

    spec: AgentSpec
    system: str
    """The system prompt, but for what clocks and prompt functions add at each step."""
    tools: tuple[ToolSpec, ...]
    """All it may call, sorted by name: the order does not depend on when one was loaded."""
    shown: tuple[ToolSpec, ...]
    """Those a model is shown; the others are found with `system:tool_search`."""
    options: Mapping[str, Any]
    prompt_functions: tuple[StepFunction, ...] = ()
    step_functions: tuple[StepFunction, ...] = ()
    clocks: tuple[Clock, ...] = ()
    extensions: tuple[Extension, ...] = ()
    """Wrappers, bindings and behaviours of its traits, in the order they are called."""
    memory: MemoryContract | None = None
    warnings: tuple[Warned, ...] = ()


async def _nobody(_: str) -> bool:
    """Know no agents but those of the registry."""
    return False


class Compiling(Struct, frozen=True, kw_only=True):
    """What a definition is compiled with."""

    call: Call
    """Runs build functions and schema processors."""
    processors: SchemaProcessors
    schemas: Schemas
    values: Mapping[str, Any] = field(default_factory=dict)
    """The base context, which the agent's own overrides."""
    added: Sequence[Any] = ()
    """Tool references loaded later."""
    delegates: Sequence[Any] = ()
    """Delegates added at run time."""
    offer: DelegateTools = field(default_factory=DelegateTools)
    exists: Exists = _nobody
    merger: Merger = overlay
    tool_budget: int = 0
    """Tools that a model is shown before it has to search; 0 is no limit."""


class _Contexts:
    """Merges the contexts of one agent's tools, and fills the placeholders in them."""

    def __init__(self, spec: AgentSpec, snapshot: Snapshot, how: Compiling) -> None:
        self.values: dict[str, Any] = {**how.values, **spec.context}
        self._spec = spec
        self._snapshot = snapshot
        self._merger = how.merger

    def merged(self, trait: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
        """Return a context of a tool or a delegate.

        Raises: EntryInvalid when the embedder's merger returns no map.
        """
        found = self._merger(trait, self.values, own)
        if not isinstance(found, Mapping):
            raise EntryInvalid(
                f"the context merger returned a {type(found).__name__}",
                where=self._spec.id,
                fix="return a map",
            )
        return dict(found)

    def reference(self, item: Any, trait: Mapping[str, Any]) -> Any:
        """Return a tool reference with its whole context; what is no reference stays."""
        if isinstance(item, str):
            return {"id": item, "context": self._of_tool(trait, {})}
        if isinstance(item, Mapping):
            return {**item, "context": self._of_tool(trait, as_object(item.get("context")))}
        return item

    def _of_tool(self, trait: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
        return {**self.merged(trait, own), "agent_id": self._spec.id}

    def filled(self, tools: Sequence[ToolSpec]) -> tuple[list[ToolSpec], list[Warned]]:
        """Fill `${name}` in the contexts of tools; declared variables wait for the call."""
        # All tools of one wildcard have one context object: looked at once.
        known: dict[int, tuple[Mapping[str, Any], set[str]]] = {}
        filled: list[ToolSpec] = []
        warnings: list[Warned] = []
        for tool in tools:
            found = known.get(id(tool.context))
            if found is None:
                found = known[id(tool.context)] = self.fill(tool.context)
                for name in sorted(found[1]):
                    warnings.append(self.unknown(name, f"`{tool.name}`", tool.id))
            context = found[0]
            if context is not tool.context:
                tool = msgspec.structs.replace(tool, context=context)
            filled.append(tool)
        return filled, warnings

    def fill(self, context: Mapping[str, Any]) -> tuple[Mapping[str, Any], set[str]]:
        """Return a context with its placeholders filled, and the names that nobody knows."""
        missing: set[str] = set()
        found = {k: fill(v, self.values, missing) for k, v in context.items()}
        unknown = {n for n in missing if not is_declared(self._snapshot, n)}
        return (context if found == context else found), unknown

    def unknown(self, name: str, of: str, where: str) -> Warned:
        """Say that a placeholder stays empty."""
        return Warned(
            text=f"`${{{name}}}` in the context of {of} is not known",
            where=where,
            fix="give it in the agent's or the session's context",
        )


async def compile_agent(spec: AgentSpec, snapshot: Snapshot, how: Compiling) -> CompiledAgent:
    """Resolve all references of `spec` against one snapshot.

    Raises: EntryInvalid for what only the embedder can have got wrong: a context merger
        that returns no map. Everything else that does not resolve is a warning.
    """
    contexts = _Contexts(spec, snapshot, how)
    traits = await contributions(
        spec, snapshot, call=how.call, values=contexts.values, merger=how.merger
    )
    own, of_traits = _resolved(spec, snapshot, how, contexts, traits)
    processed, unprocessed = await how.processors.apply(
        snapshot, [*own.tools, *of_traits.tools], call=how.call
    )
    functions = [with_placeholder(tool) for tool in processed]
    delegates, refused = await offered(
        snapshot,
        (*spec.delegates, *how.delegates, *traits.delegates),
        where=f"{spec.id} at delegates",
        taken=functions,
        context=lambda theirs: contexts.merged({}, theirs),
        offer=how.offer,
        exists=how.exists,
    )
    tools, unfilled = contexts.filled([*functions, *delegates])
    tools, visible, aside = _visible(tools, snapshot, how, own.named | of_traits.named)
    memory, forgotten = _memory(snapshot, spec, contexts)
    return CompiledAgent(
        spec=spec,
        system=_system(spec, traits),
        tools=_sorted(tools),
        shown=_sorted(visible),
        options=merged(traits.options, spec.options),
        prompt_functions=traits.prompt_functions,
        step_functions=traits.step_functions,
        clocks=traits.clocks,
        extensions=with_memory(in_order(traits.extensions), spec.memory_contract, contexts.values),
        memory=memory,
        # Two references may miss the same thing; that is said once.
        warnings=tuple(
            dict.fromkeys(
                (
                    *traits.warnings,
                    *own.warnings,
                    *of_traits.warnings,
                    *unprocessed,
                    *refused,
                    *unfilled,
                    *aside,
                    *forgotten,
                )
            )
        ),
    )


def _resolved(
    spec: AgentSpec,
    snapshot: Snapshot,
    how: Compiling,
    contexts: _Contexts,
    traits: Contribution,
) -> tuple[Resolved, Resolved]:
    """Return the tools that the agent names or was given, and those of its traits."""
    own = resolve(
        snapshot,
        [contexts.reference(tool, {}) for tool in (*spec.tools, *how.added)],
        schemas=how.schemas,
    )
    theirs = resolve(
        snapshot,
        [contexts.reference(tool, trait) for tool, trait in traits.tools],
        taken=own.tools,
        schemas=how.schemas,
    )
    return own, theirs


def _sorted(tools: Sequence[ToolSpec]) -> tuple[ToolSpec, ...]:
    return tuple(sorted(tools, key=lambda t: t.name))


def _visible(
    tools: list[ToolSpec], snapshot: Snapshot, how: Compiling, named: frozenset[str]
) -> tuple[list[ToolSpec], list[ToolSpec], list[Warned]]:
    """Return all tools, those that a model is shown, and what had to stand aside for the search."""
    if not how.tool_budget or len(tools) <= how.tool_budget:
        return tools, tools, []
    search = tool_spec(snapshot.get(TOOL_SEARCH))
    kept = [t for t in tools if t.name != search.name]
    loaded = {_id(reference) for reference in how.added}
    visible = shown(
        kept,
        budget=how.tool_budget,
        named=lambda tool: tool.id in named,
        loaded=lambda tool: tool.id in loaded,
    )
    warnings = [
        Warned(
            text=f"the name `{search.name}` is the runtime's; `{tool.id}` is not offered",
            where=tool.id,
            fix="give it another alias",
        )
        for tool in tools
        if tool.name == search.name
    ]
    return [*kept, search], [*visible, search], warnings


def _id(reference: Any) -> Any:
    return reference.get("id") if isinstance(reference, Mapping) else reference


def _system(spec: AgentSpec, traits: Contribution) -> str:
    parts = [spec.prompt.strip(), *(p.strip() for p in traits.prompts)]
    if spec.memory:
        parts.append("\n".join([MEMORY_TITLE, *(f"- {line}" for line in spec.memory)]))
    return "\n\n".join(p for p in parts if p)


def _memory(
    snapshot: Snapshot, spec: AgentSpec, contexts: _Contexts
) -> tuple[MemoryContract | None, list[Warned]]:
    """Read the memory contract; one that is wrong is a warning and counts as none."""
    if not spec.memory_contract:
        return None, []
    filled, missing = contexts.fill(as_object(spec.memory_contract.get("context")))
    warnings = [contexts.unknown(n, "the memory contract", spec.id) for n in sorted(missing)]
    try:
        value = {**spec.memory_contract, "context": filled}
        return read_contract(snapshot, value, agent=spec.id), warnings
    except (EntryInvalid, EntryNotFound) as error:
        warned = Warned(text=error.what, where=error.where or spec.id, fix=error.fix)
        return None, [*warnings, warned]
