"""What one turn may take: steps, calls, time, tokens, money. Reaching one is an outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from micro_agi.messages import LimitHit, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnLimits:
    """Limits of one turn; a budget of 0 is none."""

    steps: int = 32
    tool_calls: int = 128
    timeout_s: float = 900.0
    budget_tokens: int = 0
    budget_usd: float = 0.0
    tool_concurrency: int = 8
    steps_chosen: bool = False
    """A person set `steps`: what an agent's definition says does not count then."""

    def of_agent(self, options: Mapping[str, Any]) -> "TurnLimits":
        """Return the limits of one agent's turns: its `max_steps` unless a person set one."""
        wanted = options.get("max_steps")
        if self.steps_chosen or not isinstance(wanted, int) or wanted < 1:
            return self
        return replace(self, steps=wanted)

    def reached(self, steps: int, calls: int, usage: Usage, cost_usd: float) -> LimitHit | None:
        """Return the first limit that is used up, or None; time is watched by the turn itself."""
        tokens = usage.window + usage.completion
        checks = (
            ("steps", steps >= self.steps, self.steps, "steps"),
            ("tool calls", calls >= self.tool_calls > 0, self.tool_calls, "calls"),
            ("tokens", tokens >= self.budget_tokens > 0, self.budget_tokens, "tokens"),
            ("money", cost_usd >= self.budget_usd > 0, self.budget_usd, "USD"),
        )
        for name, used_up, value, unit in checks:
            if used_up:
                return LimitHit(limit=name, value=value, unit=unit)
        return None
