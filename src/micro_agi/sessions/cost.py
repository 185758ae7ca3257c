"""What a session took, by model and by tool, from its journal.

Pure. Seconds of a model are from the intent of a request to its reply, as the journal's times
have them; seconds of a tool are what the call measured, without a person's thinking. What a
delegate used counts for its models, and again for the tool that it was.
"""

from collections.abc import Iterable

from msgspec import Struct, field

from micro_agi.messages import (
    AnyEvent,
    Compacted,
    Delegated,
    StepFinished,
    StepStarted,
    ToolCallFinished,
    Usage,
)
from micro_agi.sessions.rows import Recorded


class Cost(Struct):
    """What one model or one tool took."""

    name: str
    calls: int = 0
    failed: int = 0
    """Calls of a tool that ended with an error; requests without a reply."""
    seconds: float = 0.0
    usage: Usage = field(default_factory=Usage)
    usd: float | None = None
    """None when no model in it has a price."""

    def spend(self, usage: Usage, usd: float | None) -> None:
        """Add tokens and money."""
        self.usage = self.usage.plus(usage)
        if usd is not None:
            self.usd = (self.usd or 0.0) + usd


class Costs(Struct, frozen=True):
    """All of a session, what took most seconds first."""

    models: tuple[Cost, ...]
    tools: tuple[Cost, ...]


def costs(recorded: Iterable[Recorded]) -> Costs:
    """Add up a session's events."""
    sums = _Sums()
    for row in recorded:
        sums.take(row.event, row.at, ())
    by_time = (sorted(s.values(), key=lambda c: -c.seconds) for s in (sums.models, sums.tools))
    return Costs(*(tuple(found) for found in by_time))


class _Sums(Struct):
    models: dict[str, Cost] = field(default_factory=dict)
    tools: dict[str, Cost] = field(default_factory=dict)
    began: dict[tuple[str, ...], float] = field(default_factory=dict)
    """When the request in flight began, by the calls that its turn is inside of."""
    inside: dict[tuple[str, ...], Cost] = field(default_factory=dict)
    """What a delegate used, until the name of its tool is known."""

    def take(self, event: AnyEvent, at: float, path: tuple[str, ...]) -> None:
        match event:
            case Delegated():
                self.take(event.event, at, (*path, event.call_id))
            case StepStarted():
                if path in self.began:  # cut off: it goes on in another process
                    _of(self.models, event.model).failed += 1
                self.began[path] = at
            case StepFinished():
                cost = _of(self.models, event.model)
                cost.calls += 1
                cost.seconds += max(0.0, at - self.began.pop(path, at))
                cost.spend(event.usage, event.cost_usd)
                self._inside(path, event.usage, event.cost_usd)
            case Compacted() if event.model:
                cost = _of(self.models, event.model)
                cost.calls += 1
                cost.failed += event.by != event.model
                cost.seconds += event.seconds
                cost.spend(event.usage, event.cost_usd)
                self._inside(path, event.usage, event.cost_usd)
            case ToolCallFinished():
                cost = _of(self.tools, event.tool or event.name)
                cost.calls += 1
                cost.failed += event.error is not None
                cost.seconds += event.duration_s
                inside = self.inside.pop((*path, event.call_id), Cost(""))
                cost.spend(inside.usage, inside.usd)
            case _:
                pass

    def _inside(self, path: tuple[str, ...], usage: Usage, usd: float | None) -> None:
        """Add what a delegate used to the calls that it is inside of."""
        for depth in range(1, len(path) + 1):
            self.inside.setdefault(path[:depth], Cost("")).spend(usage, usd)


def _of(costs: dict[str, Cost], name: str) -> Cost:
    return costs.setdefault(name, Cost(name))
