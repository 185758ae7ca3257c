"""Compile a definition into what a step needs: system prompt, tools, model, warnings.

Source: spec/agent.md 1.5. Tools come in this order, and of two with one visible name the
first stays (DESIGN 10): the agent's own, those added at run time, those of its traits in
their order, its delegates.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from micro_agi.agent.recall import MemoryContract, read_contract
from micro_agi.agent.spec import AGENT_TYPE, AgentSpec
from micro_agi.agent.traits import Call, Clock, Contribution, StepFunction, contributions, merged
from micro_agi.errors import EntryInvalid, EntryNotFound
from micro_agi.messages import ToolSpec, Warned
from micro_agi.registry.snapshot import Snapshot
from micro_agi.tools.resolve import MODEL_NAME, resolve
from micro_agi.values import as_object, nearest

MEMORY_TITLE = "## Your memory contains:"
DELEGATE_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"message": {"type": "string", "description": "What to forward"}},
    "required": ["message"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledAgent:
    """An agent ready to run."""

    spec: AgentSpec
    system: str
    """The system prompt, but for what clocks and prompt functions add at each step."""
    tools: tuple[ToolSpec, ...]
    """Sorted by name: the order a model sees does not depend on when a tool was loaded."""
    options: Mapping[str, Any]
    prompt_functions: tuple[StepFunction, ...] = ()
    step_functions: tuple[StepFunction, ...] = ()
    clocks: tuple[Clock, ...] = ()
    memory: MemoryContract | None = None
    warnings: tuple[Warned, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DelegateTools:
    """How delegates are offered to a model."""

    enabled: bool = True
    description_suffix: str = ""
    schema: Mapping[str, Any] | None = None
    """Of the arguments; None is one text, `message`."""


async def compile_agent(
    spec: AgentSpec,
    snapshot: Snapshot,
    *,
    call: Call,
    added: Sequence[Any] = (),
    delegates: Sequence[Any] = (),
    values: Mapping[str, Any] | None = None,
    offer: DelegateTools | None = None,
) -> CompiledAgent:
    """Resolve all references of `spec` against one snapshot.

    `added` are tool references loaded later, `delegates` delegates added at run time,
    `values` the base context, which the agent's own overrides. `call` runs the build
    functions of traits.
    """
    context = {**(values or {}), **spec.context}
    traits = await contributions(spec, snapshot, call=call, values=context)
    own = resolve(snapshot, [_with_context(t, context) for t in (*spec.tools, *added)])
    of_traits = resolve(
        snapshot,
        [_with_context(tool, {**theirs, **context}) for tool, theirs in traits.tools],
        taken=own.tools,
    )
    taken = (*own.tools, *of_traits.tools)
    wanted = (*spec.delegates, *delegates, *traits.delegates)
    offered, refused = _delegates(snapshot, spec, wanted, taken, context, offer or DelegateTools())
    tools, unfilled = _filled((*taken, *offered), context)
    memory, forgotten = _memory(snapshot, spec, context)
    return CompiledAgent(
        spec=spec,
        system=_system(spec, traits),
        tools=tuple(sorted(tools, key=lambda t: t.name)),
        options=merged(traits.options, spec.options),
        prompt_functions=traits.prompt_functions,
        step_functions=traits.step_functions,
        clocks=traits.clocks,
        memory=memory,
        warnings=(
            *traits.warnings,
            *own.warnings,
            *of_traits.warnings,
            *refused,
            *unfilled,
            *forgotten,
        ),
    )


def _system(spec: AgentSpec, traits: Contribution) -> str:
    parts = [spec.prompt.strip(), *(p.strip() for p in traits.prompts)]
    if spec.memory:
        parts.append("\n".join([MEMORY_TITLE, *(f"- {line}" for line in spec.memory)]))
    return "\n\n".join(p for p in parts if p)


def _memory(
    snapshot: Snapshot, spec: AgentSpec, context: Mapping[str, Any]
) -> tuple[MemoryContract | None, list[Warned]]:
    """Read the memory contract; one that is wrong is a warning and counts as none."""
    if not spec.memory_contract:
        return None, []
    missing: set[str] = set()
    theirs = as_object(spec.memory_contract.get("context"))
    filled = {k: fill(v, context, missing) for k, v in theirs.items()}
    warnings = [_unknown(name, "the memory contract", spec.id) for name in sorted(missing)]
    try:
        value = {**spec.memory_contract, "context": filled}
        return read_contract(snapshot, value, agent=spec.id), warnings
    except (EntryInvalid, EntryNotFound) as error:
        warned = Warned(text=error.what, where=error.where or spec.id, fix=error.fix)
        return None, [*warnings, warned]


def _unknown(name: str, of: str, where: str) -> Warned:
    return Warned(
        text=f"`${{{name}}}` in the context of {of} is not known",
        where=where,
        fix="give it in the agent's or the session's context",
    )


def _with_context(reference: Any, context: Mapping[str, Any]) -> Any:
    """Put the agent's context under a tool reference's own; what is no reference stays."""
    if not context:
        return reference
    if isinstance(reference, str):
        return {"id": reference, "context": context}
    if isinstance(reference, Mapping):
        return {**reference, "context": {**context, **as_object(reference.get("context"))}}
    return reference


def _delegates(
    snapshot: Snapshot,
    spec: AgentSpec,
    references: Iterable[Any],
    taken: Sequence[ToolSpec],
    context: Mapping[str, Any],
    offer: DelegateTools,
) -> tuple[list[ToolSpec], list[Warned]]:
    """Turn delegates into tools that an agent answers."""
    tools: list[ToolSpec] = []
    warnings: list[Warned] = []
    agents = {e.id for e in snapshot.find({"meta.type": AGENT_TYPE})} if offer.enabled else set()
    for reference in references if offer.enabled else ():
        facts = as_object(reference)
        agent, name = facts.get("id"), facts.get("name")
        where = f"{spec.id} at delegates"
        if not isinstance(agent, str) or not isinstance(name, str):
            said = f"`{reference!r}` is no delegate"
            warnings.append(Warned(text=said, where=where, fix="write a map with `id` and `name`"))
        elif agent not in agents:
            near = ", ".join(nearest(agent, agents) or sorted(agents))
            said = f"delegate `{agent}` is no agent"
            warnings.append(Warned(text=said, where=where, fix=f"there are: {near}"))
        elif not MODEL_NAME.fullmatch(name):
            said = f"a model cannot call a delegate named `{name}`"
            warnings.append(Warned(text=said, where=where, fix="use letters, digits, `_` or `-`"))
        elif any(t.name == name for t in (*taken, *tools)):
            said = f"the name `{name}` is taken; delegate `{agent}` is not offered"
            warnings.append(Warned(text=said, where=where, fix="give it another name"))
        else:
            rule = facts.get("rule") or "when appropriate"
            tools.append(
                ToolSpec(
                    id=agent,
                    name=name,
                    description=f"Forward the request to {rule}{offer.description_suffix}",
                    schema=dict(offer.schema or DELEGATE_SCHEMA),
                    context={**context, **as_object(facts.get("context"))},
                    delegate=agent,
                )
            )
    return tools, warnings


def _filled(
    tools: Sequence[ToolSpec], values: Mapping[str, Any]
) -> tuple[list[ToolSpec], list[Warned]]:
    """Fill `${name}` in the contexts of tools from the agent's context."""
    filled: list[ToolSpec] = []
    warnings: list[Warned] = []
    for tool in tools:
        missing: set[str] = set()
        context = {k: fill(v, values, missing) for k, v in tool.context.items()}
        filled.append(msgspec.structs.replace(tool, context=context))
        warnings += [_unknown(name, f"`{tool.name}`", tool.id) for name in sorted(missing)]
    return filled, warnings


def fill(value: Any, values: Mapping[str, Any], missing: set[str]) -> Any:
    """Replace a text `${name}` by the value of that name, and `${name}` inside texts by its text.

    Names that are not in `values` stay as they are and are added to `missing`.
    """
    if not isinstance(value, str) or "${" not in value:
        return value
    before, _, rest = value.partition("${")
    name, closed, after = rest.partition("}")
    if not closed:
        return value
    if name not in values or values[name] == value:
        missing.add(name)
        return value
    if not before and not after:
        return values[name]
    return f"{before}{values[name]}{fill(after, values, missing)}"
