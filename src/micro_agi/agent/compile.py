"""Compile a definition into what a step needs: system prompt, tools, model, warnings.

Source: spec/agent.md 1.5. Tools come in the order of the definition, then those added at
run time; of two with one visible name the first stays (DESIGN 10).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from micro_agi.agent.spec import AgentSpec
from micro_agi.messages import ToolSpec, Warned
from micro_agi.registry.snapshot import Snapshot
from micro_agi.tools.resolve import resolve

MEMORY_TITLE = "## Your memory contains:"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledAgent:
    """An agent ready to run."""

    spec: AgentSpec
    system: str
    """The exact system prompt."""
    tools: tuple[ToolSpec, ...]
    """Sorted by name: the order a model sees does not depend on when a tool was loaded."""
    warnings: tuple[Warned, ...]


def compile_agent(
    spec: AgentSpec, snapshot: Snapshot, *, added: Sequence[str] = ()
) -> CompiledAgent:
    """Resolve all references of `spec` against one snapshot; `added` are tools loaded later."""
    own = resolve(snapshot, spec.tools)
    more = resolve(snapshot, added, taken=own.tools)
    later = [
        Warned(
            text=f"`{key}` of an agent is not run by this version yet",
            where=f"{spec.id} at {key}",
            fix="the agent works without it",
        )
        for key in spec.later
    ]
    tools = sorted((*own.tools, *more.tools), key=lambda t: t.name)
    return CompiledAgent(
        spec=spec,
        system=_system(spec),
        tools=tuple(tools),
        warnings=(*own.warnings, *more.warnings, *later),
    )


def _system(spec: AgentSpec) -> str:
    parts = [spec.prompt.strip()]
    if spec.memory:
        parts.append("\n".join([MEMORY_TITLE, *(f"- {line}" for line in spec.memory)]))
    return "\n\n".join(p for p in parts if p)
