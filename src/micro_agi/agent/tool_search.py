"""Agents with many tools: show a model some, and let it search for the others.

A hundred tools cost tokens in every request and make a model choose badly, and services
refuse more than they like. Beyond a budget a model sees the tools that its agent names one
by one, its delegates, what was loaded since, and `system:tool_search`, which finds among
all and loads what it finds: from the next step on those are shown as well.

Source: DESIGN 8, 11.
"""

from collections.abc import Callable, Sequence
from typing import Any

from micro_agi.errors import InputInvalid
from micro_agi.messages import ToolSpec
from micro_agi.security.context import CallContext

TOOL_SEARCH = "system:tool_search"


def shown(
    tools: Sequence[ToolSpec],
    *,
    budget: int,
    named: Callable[[ToolSpec], bool],
    loaded: Callable[[ToolSpec], bool],
) -> list[ToolSpec]:
    """Return the tools that a model is shown beside the search, in the order of `tools`.

    `named` says whether the agent names a tool itself, of which the first `budget` are
    shown; `loaded` whether it was added later.
    """
    room = budget
    chosen: list[ToolSpec] = []
    for tool in tools:
        if tool.delegate or loaded(tool):
            chosen.append(tool)
        elif named(tool) and room > 0:
            room -= 1
            chosen.append(tool)
    return chosen


def answer(found: Sequence[ToolSpec], total: int) -> dict[str, Any]:
    """Return what a model reads about the tools it found."""
    listed = [{"name": t.name, "description": t.description} for t in found]
    if not listed:
        return {"tools": [], "note": f"none of {total} tools fits; try other words"}
    return {"tools": listed, "note": "loaded: call them by name from now on"}


async def outside_a_turn(_: Any, __: CallContext) -> Any:
    """Refuse: the native function behind the entry, for callers that have no tools.

    Raises: InputInvalid.
    """
    raise InputInvalid(
        "only an agent's own call can search its tools",
        where=TOOL_SEARCH,
        fix="`micro-agi tool list`, or registry.find",
    )
