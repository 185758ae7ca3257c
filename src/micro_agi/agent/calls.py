"""The tool calls of one reply: which of them run, and what those read that do not.

Sessions (`turn.py`) and embedders (`caller.py`) both go through this, so that `exclusive`,
a wrapper's changes and a refusal mean the same in both.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from micro_agi.agent.extension_calls import Extensions, Summary
from micro_agi.errors import MicroAgiError, ToolFailed
from micro_agi.messages import ToolCall, ToolCallFinished, ToolSpec, Warned
from micro_agi.tools.call import as_text, failed_call, parse_arguments
from micro_agi.values import as_object

REPEATS_TOLD = 3
"""The same call failing this often: the model is told, and the next one is refused."""

Planned = ToolCall | MicroAgiError
"""What runs in place of a call, or why nothing does."""


def exclusive_among(calls: Sequence[ToolCall], tools: Mapping[str, ToolSpec]) -> str | None:
    """Return the id of the first call that has to run alone."""
    return next((c.id for c in calls if c.name in tools and tools[c.name].exclusive), None)


def facts_of_call(call: ToolCall, tools: Mapping[str, ToolSpec]) -> dict[str, Any]:
    """Return a call as wrappers see it: parsed arguments, registry id and context."""
    spec = tools.get(call.name)
    try:
        arguments: Any = parse_arguments(call)
    except MicroAgiError:
        arguments = call.arguments
    return {
        "id": call.id,
        "name": call.name,
        "arguments": arguments,
        "registry_id": spec.id if spec else "",
        "context": dict(spec.context) if spec else {},
    }


async def plan(
    extensions: Extensions,
    calls: Sequence[ToolCall],
    tools: Mapping[str, ToolSpec],
    payload: Mapping[str, Any],
) -> tuple[dict[str, Planned], list[Warned]]:
    """Let the wrappers decide what runs in place of each call, by its id.

    A wrapper may change a call or leave it out; one that the model did not make is ignored
    with a warning, since nobody would read its result. A strict wrapper that fails stops all.
    """
    by_id: dict[str, Planned] = {c.id: c for c in calls}
    before = [facts_of_call(c, tools) for c in calls]
    try:
        wanted, summary = await extensions.before_execute({**payload, "tool_calls": before})
    except MicroAgiError as error:
        failed = ToolFailed(f"Tool wrapper failed: {error.what}", where=error.where, fix=error.fix)
        return dict.fromkeys(by_id, failed), []
    if wanted == before:
        return by_id, summary.warnings
    changed = {str(as_object(w).get("id")): as_object(w) for w in wanted}
    for call in calls:
        by_id[call.id] = _replaced(call, changed.get(call.id))
    added = [name for name in changed if name not in by_id]
    warnings = [
        Warned(text=f"a tool wrapper added the call `{name}`, which the model did not make")
        for name in added
    ]
    return by_id, [*summary.warnings, *warnings]


def _replaced(call: ToolCall, wanted: Mapping[str, Any] | None) -> Planned:
    if wanted is None:
        return ToolFailed(
            "skipped: a tool wrapper left this call out",
            where=f"tool call {call.id}",
            fix="do without it",
        )
    arguments = wanted.get("arguments")
    text = arguments if isinstance(arguments, str) else as_text(arguments or {})
    return msgspec.structs.replace(call, name=str(wanted.get("name") or call.name), arguments=text)


async def told_after(
    extensions: Extensions,
    calls: Sequence[ToolCall],
    results: Sequence[ToolCallFinished],
    tools: Mapping[str, ToolSpec],
    payload: Mapping[str, Any],
) -> Summary:
    """Tell the wrappers what became of the calls."""
    outcomes = {r.call_id: {"result": r.result, "error": r.error} for r in results}
    failed = any(r.error for r in results)
    reason = "tool_execution_failed" if failed else "tool_results_recorded"
    return await extensions.after_execute(
        {
            "outcome": {"state": "continues", "reason": reason},
            **payload,
            "tool_calls": [facts_of_call(c, tools) for c in calls],
            "tool_results": outcomes,
        }
    )


def skipped(call: ToolCall) -> ToolCallFinished:
    """Return the result of a call beside an exclusive one."""
    error = ToolFailed(
        "skipped: another call of this reply has to run alone",
        where=f"tool call {call.id}",
        fix="call it again in the next step if it is still needed",
    )
    return failed_call(call, "", error)


def repeated(call: ToolCall) -> ToolCallFinished:
    """Return the result of a call that failed too often already."""
    error = ToolFailed(
        f"`{call.name}` failed {REPEATS_TOLD} times with these arguments; refused for this turn",
        where=f"tool call {call.id}",
        fix="do something else",
    )
    return failed_call(call, "", error)


def told(result: ToolCallFinished) -> ToolCallFinished:
    """Return a failure with the note that the next one like it will be refused."""
    note = (
        f"\n[this call failed {REPEATS_TOLD} times with the same arguments; "
        "it will be refused from now on]"
    )
    return msgspec.structs.replace(result, content=result.content + note)
