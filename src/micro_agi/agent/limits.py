"""What one turn, and one session, may take. Reaching a limit is an outcome.

A turn's limits begin anew with the next message, so `go on` continues after one. Those of a
session count all of its turns: the person raises the setting, or starts a new session.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from micro_agi.messages import LimitHit, Usage
from micro_agi.sessions.conversation import Conversation
from micro_agi.settings import Settings

WALL_CLOCK = "wall clock"
SESSION_WALL_CLOCK = "session wall clock"


class SessionLimits(Struct, frozen=True, kw_only=True):
    """Limits of all turns of a session together, its delegates' included; 0 is none."""

    steps: int = 0
    tool_calls: int = 0
    wall_s: float = 0.0
    """Time that turns ran, without waiting for a person."""
    budget_tokens: int = 0
    budget_usd: float = 0.0

    def reached(self, spent: Conversation) -> LimitHit | None:
        """Return the first limit that the session has used up, or None."""
        tokens = spent.usage.window + spent.usage.completion
        return _first(
            ("session steps", spent.steps, self.steps, "steps"),
            ("session tool calls", spent.calls, self.tool_calls, "calls"),
            (SESSION_WALL_CLOCK, spent.seconds, self.wall_s, "s"),
            ("session tokens", tokens, self.budget_tokens, "tokens"),
            ("session money", spent.cost_usd, self.budget_usd, "USD"),
        )


class TurnLimits(Struct, frozen=True, kw_only=True):
    """Limits of one turn; a budget of 0 is none."""

    steps: int = 32
    tool_calls: int = 128
    timeout_s: float = 900.0
    budget_tokens: int = 0
    budget_usd: float = 0.0
    tool_concurrency: int = 8
    rounds: int = 8
    """Rounds of the same calls with the same results; 0 is no limit."""
    model_retries: int = 3
    """Tries in a row that brought no more of a reply; the gateway counts them."""
    session: SessionLimits = field(default_factory=SessionLimits)
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
        return _first(
            ("steps", steps, self.steps, "steps"),
            ("tool calls", calls, self.tool_calls, "calls"),
            ("tokens", usage.window + usage.completion, self.budget_tokens, "tokens"),
            ("money", cost_usd, self.budget_usd, "USD"),
        )

    def time(self, spent: Conversation) -> LimitHit:
        """Return the limit that a turn will hit when its time is over."""
        left = self.session.wall_s - spent.seconds
        if self.session.wall_s and left < self.timeout_s:
            return LimitHit(limit=SESSION_WALL_CLOCK, value=self.session.wall_s, unit="s")
        return LimitHit(limit=WALL_CLOCK, value=self.timeout_s, unit="s")

    def seconds(self, spent: Conversation) -> float:
        """Return how long a turn may run."""
        if not self.session.wall_s:
            return self.timeout_s
        return max(0.0, min(self.timeout_s, self.session.wall_s - spent.seconds))


def limits_of(settings: Settings) -> TurnLimits:
    """Return the limits that the settings name."""
    return TurnLimits(
        steps=settings.max_steps,
        steps_chosen=settings.source("max_steps") != "default",
        tool_calls=settings.max_tool_calls,
        timeout_s=settings.turn_timeout_s,
        budget_tokens=settings.turn_budget_tokens,
        budget_usd=settings.turn_budget_usd,
        tool_concurrency=settings.tool_concurrency,
        rounds=settings.max_rounds,
        model_retries=settings.model_retries,
        session=SessionLimits(
            steps=settings.session_max_steps,
            tool_calls=settings.session_max_tool_calls,
            wall_s=settings.session_timeout_s,
            budget_tokens=settings.session_budget_tokens,
            budget_usd=settings.session_budget_usd,
        ),
    )


def _first(*checks: tuple[str, float, float, str]) -> LimitHit | None:
    for name, used, limit, unit in checks:
        if used >= limit > 0:
            return LimitHit(limit=name, value=limit, unit=unit)
    return None
