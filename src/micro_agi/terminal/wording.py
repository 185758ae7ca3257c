"""Say each event in words, the same for every kind of terminal.

Tool lines are seed 000's, to the letter. Everything else that a person should know of a
turn is a *remark*: a line or two that says it once. An event that says nothing of its own
(a step began, a tool's entry was written) has no remark here; a live screen may still
draw it.
"""

from micro_agi.messages import (
    AnyEvent,
    ApprovalAnswered,
    Circling,
    Compacted,
    Delegated,
    Errored,
    LimitHit,
    Question,
    Shortened,
    StepFinished,
    ToolCallFinished,
    ToolLoaded,
    TurnFinished,
    TurnResumed,
    Unbacked,
    Usage,
    Warned,
)
from micro_agi.settings import PREFIX
from micro_agi.terminal.text import counted, facts, first_line, indented, money, printable
from micro_agi.tools.approve import REQUEST, is_for_a_person, verb

RAISED_BY = {
    "steps": "max_steps",
    "tool calls": "max_tool_calls",
    "wall clock": "turn_timeout_s",
    "tokens": "turn_budget_tokens",
    "money": "turn_budget_usd",
    "same calls": "max_rounds",
    "model retries": "model_retries",
    "session steps": "session_max_steps",
    "session tool calls": "session_max_tool_calls",
    "session wall clock": "session_timeout_s",
    "session tokens": "session_budget_tokens",
    "session money": "session_budget_usd",
}
"""From the name of a limit to the setting that holds it."""


def tool_line(event: ToolCallFinished) -> str:
    """Return seed 000's line for a finished call.

    >>> tool_line(ToolCallFinished(call_id="1", name="clock", tool="", content=""))
    '  [clock] ok'
    """
    return f"  [{first_line(event.name)}] {tool_outcome(event)}"


def tool_outcome(event: ToolCallFinished) -> str:
    """Return `ok`, or `error: ` and the first line of what went wrong."""
    if event.error is None:
        return "ok"
    return f"error: {first_line(str(event.error.get('what') or 'failed'))}"


def loaded_line(event: ToolLoaded) -> str:
    """Return seed 000's line for a tool that joined the session."""
    return f"  [+] {first_line(event.tool)}"


def delegated_line(event: Delegated) -> str:
    """Return the line for what a delegate did, indented by its depth; "" for nothing."""
    inner: AnyEvent = event
    depth = 0
    while isinstance(inner, Delegated):
        inner, depth = inner.event, depth + 1
    match inner:
        case ToolCallFinished():
            line = tool_line(inner)
        case ToolLoaded():
            line = loaded_line(inner)
        case TurnFinished():
            return ""
        case _:
            line = remark(inner)
    return indented(line, "  " * depth) if line else ""


def remark(event: AnyEvent) -> str:
    """Return what a person should be told about an event; "" for nothing."""
    match event:
        case Warned():
            return _warning(event)
        case Errored():
            return _error(event)
        case Compacted():
            return (
                f"  compacted: {counted(event.dropped, 'message')} became a summary of "
                f"{counted(len(event.summary), 'character')}, written by {printable(event.by)}"
            )
        case Shortened():
            return (
                f"  shortened: {counted(len(event.results), 'tool result')}, from "
                f"{event.chars_before} to {counted(event.chars_after, 'character')}, "
                "to fit the model's window"
            )
        case Unbacked():
            facts = printable(", ".join(event.facts))
            return f"  not found in what the tools returned: {facts}"
        case ApprovalAnswered():
            return _answered(event)
        case Circling():
            return (
                f"  warning: the same calls were made {event.rounds} times with the same results; "
                f"the model was told, and after {event.stops_at} times the turn stops"
            )
        case StepFinished():
            return _step(event)
        case TurnResumed():
            return _resumed(event)
    return ""


def ending(event: TurnFinished, hit: LimitHit | None) -> str:
    """Return why a turn ended without an answer, and how to go on; "" when there is nothing to say.

    `hit` is the limit that the turn ran into. A failed turn has said its error already.
    """
    match event.outcome:
        case "answered":
            return "" if event.text.strip() else "  the model ended the turn without a word"
        case "cancelled":
            return "  stopped; what was done up to here stays done"
        case "limit_reached" if hit is not None:
            return _limit(hit)
        case "limit_reached":
            return facts("stopped: a limit was reached", fix="say `go on` to continue")
        case "failed":
            return ""


def spent(usage: Usage, cost_usd: float | None) -> str:
    """Return tokens and money in one line; a model without a price has no money in it.

    >>> spent(Usage(prompt=900, cached=100, completion=56), None)
    '1,000 in (100 cached) · 56 out'
    """
    cached = f" ({usage.cached:,} cached)" if usage.cached else ""
    parts = [f"{usage.window:,} in{cached}", f"{usage.completion:,} out"]
    if cost_usd is not None:
        parts.append(money(cost_usd))
    return " · ".join(parts)


def question_text(question: Question, *, private: bool) -> str:
    """Return what a person is asked, without the choices."""
    lines = [
        f"  {printable(question.tool)} wants to {verb(question.action)}",
        indented(printable(question.resource), "    "),
        f"  for agent {printable(question.agent or 'none')}",
    ]
    if question.reason:
        # A tool describes itself; why a command is asked about, the runtime says.
        by = "it says of itself" if question.action == REQUEST else "because"
        lines.append(f"  {by}: {first_line(question.reason)}")
    if private:
        lines.append("  careful: this address is on your machine or in your own network")
    return "\n".join(lines)


def _warning(event: Warned) -> str:
    where = f" ({printable(event.where)})" if event.where else ""
    fix = f"; {first_line(event.fix)}" if event.fix else ""
    return f"  warning: {first_line(event.text)}{where}{fix}"


def _error(event: Errored) -> str:
    error = {key: str(event.error.get(key) or "") for key in ("what", "where", "fix")}
    return facts(f"error: {error['what']}", where=error["where"], fix=error["fix"])


def _answered(event: ApprovalAnswered) -> str:
    """Say what was decided when no person saw the question."""
    if event.by == "person":
        return ""
    question = event.question
    may = f"{printable(question.tool)} may {verb(question.action)}"
    asked = f"{may} {printable(question.resource)}"
    if event.approval == "refuse" and is_for_a_person(question):
        return f"  refused, since {printable(event.by)} does not cover it: whether {asked}"
    if event.approval == "refuse":
        return f"  refused, since no person is here to say whether {asked}"
    return f"  allowed once by {event.by}: {asked}"


def _resumed(event: TurnResumed) -> str:
    said = ["  going on with a turn that was cut off"]
    if event.again:
        said.append(f"{counted(len(event.again), 'call')} without an effect outside run again")
    if event.unknown:
        calls = counted(len(event.unknown), "call")
        said.append(f"{calls} may have had an effect and will not be repeated")
    return "; ".join(said)


def _step(event: StepFinished) -> str:
    if event.truncated:
        return "  warning: the reply was cut inside its tool calls, so none of them was run"
    if event.finish_reason == "length":
        return "  warning: the answer is cut: the model reached the agent's max_tokens"
    if event.problem is not None:
        what = first_line(str(event.problem.get("what") or "the stream broke off"))
        return f"  warning: the answer is cut: {what}"
    if event.finish_reason == "filtered":
        return "  warning: the model's provider filtered the answer"
    return ""


def _limit(hit: LimitHit) -> str:
    value = f"{hit.value:,g}" if hit.value < 1_000_000 else f"{hit.value:,.0f}"
    unit = "" if hit.unit == hit.limit else f" {hit.unit}"
    name = RAISED_BY.get(hit.limit)
    if hit.limit.startswith("session ") and name:
        return facts(
            f"stopped: the limit of this session was reached: "
            f"{hit.limit.removeprefix('session ')}, {value}{unit}",
            fix=f"raise it with {PREFIX}{name.upper()} and say `go on`, or start a new session",
        )
    more = f"; {PREFIX}{name.upper()} raises the limit" if name else ""
    return facts(
        f"stopped: the limit of one turn was reached: {hit.limit}, {value}{unit}",
        fix=f"say `go on` to continue in a new turn{more}",
    )
