"""`session show ID --cost`: what each model and each tool of a session took."""

from collections.abc import Sequence

from micro_agi.commands.invocation import Invocation
from micro_agi.commands.output import table
from micro_agi.sessions.cost import Cost, Costs
from micro_agi.terminal.text import money

MODEL_HEADS = ("MODEL", "REQUESTS", "CUT OFF", "SECONDS", "INPUT", "CACHED", "OUTPUT", "MONEY")
TOOL_HEADS = ("TOOL", "CALLS", "FAILED", "SECONDS", "INPUT", "CACHED", "OUTPUT", "MONEY")


def show_cost(invocation: Invocation, found: Costs) -> int:
    """Print one table of models and one of tools; what a delegate used is in both."""
    if invocation.as_json:
        invocation.say_json(
            {
                "models": [_as_json(c) for c in found.models],
                "tools": [_as_json(c) for c in found.tools],
            }
        )
        return 0
    if not found.models:
        invocation.say("No model has answered in this session.")
        return 0
    _say(invocation, MODEL_HEADS, found.models)
    if found.tools:
        invocation.say("")
        _say(invocation, TOOL_HEADS, found.tools)
    if any(c.usage.window for c in found.tools):
        invocation.note("tokens and money of a tool are its delegate's, and in the models' as well")
    return 0


def _say(invocation: Invocation, heads: Sequence[str], found: Sequence[Cost]) -> None:
    rows = [
        (
            cost.name,
            f"{cost.calls:,}",
            f"{cost.failed:,}" if cost.failed else "-",
            f"{cost.seconds:.2f}",
            *(f"{n:,}" if n else "-" for n in _tokens(cost)),
            money(cost.usd) if cost.usd is not None else "-",
        )
        for cost in found
    ]
    invocation.say(table(heads, rows, width=invocation.width))


def _tokens(cost: Cost) -> tuple[int, int, int]:
    return cost.usage.prompt, cost.usage.cached, cost.usage.completion


def _as_json(cost: Cost) -> dict[str, object]:
    prompt, cached, output = _tokens(cost)
    return {
        "name": cost.name,
        "calls": cost.calls,
        "failed": cost.failed,
        "seconds": round(cost.seconds, 6),
        "input_tokens": prompt,
        "cached_tokens": cached,
        "output_tokens": output,
        "usd": cost.usd,
    }
