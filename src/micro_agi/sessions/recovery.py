"""What a turn that was killed had done: enough to go on with it.

Pure: events in, values out. Nothing is guessed: a call without a committed outcome is
`pending`, with what is known about it, and the turn decides by its class (DESIGN 12).
"""

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct, field

from micro_agi.messages import (
    AnyEvent,
    ApprovalAnswered,
    ApprovalAsked,
    Compacted,
    Delegated,
    StepFinished,
    ToolCall,
    ToolCallFinished,
    ToolCallStarted,
    TurnFinished,
    TurnStarted,
    Usage,
)


class Pending(Struct):
    """A call whose intent is committed and whose outcome is not."""

    call: ToolCall
    intent: ToolCallStarted
    asking: bool = False
    """A person was asked and had not answered: the call has not begun."""
    nested: list[AnyEvent] = field(default_factory=list)
    """What its delegate did, when a delegate answers it."""

    @property
    def may_run(self) -> bool:
        """Whether running it (again) repeats no effect."""
        return self.intent.replayable or self.intent.idempotent or self.asking


class Unfinished(Struct):
    """A turn without an end."""

    started: TurnStarted
    steps: int = 0
    calls: int = 0
    truncated: int = 0
    """Replies before `last` that were cut at their limit."""
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By name and arguments, as the turn counts them."""
    last: StepFinished | None = None
    """The newest reply of the model."""
    pending: list[Pending] = field(default_factory=list)
    """Calls of `last` without an outcome, in call order."""

    def take(self, event: AnyEvent) -> None:
        """Take the turn's next event into account."""
        match event:
            case StepFinished():
                self._step(event)
            case Compacted():
                self._spend(event.usage, event.cost_usd)
            case ToolCallStarted():
                self._pending(event.call_id).intent = event
            case ToolCallFinished():
                self._finished(event)
            case ApprovalAsked() | ApprovalAnswered():
                for pending in self.pending:
                    if event.call_id.endswith(f"/{pending.call.id}"):  # a call's key
                        pending.asking = isinstance(event, ApprovalAsked)
            case Delegated():
                self._pending(event.call_id).nested.append(event.event)
            case _:
                pass

    def _step(self, step: StepFinished) -> None:
        self.steps = step.step
        self._spend(step.usage, step.cost_usd)
        self.truncated += self.last.truncated if self.last else 0
        self.last = step
        self.calls += len(step.message.tool_calls)
        self.pending = [
            Pending(call, ToolCallStarted(call_id=call.id, name=call.name, tool="", arguments=None))
            for call in step.message.tool_calls
        ]

    def _finished(self, result: ToolCallFinished) -> None:
        pending = self._pending(result.call_id)
        call = pending.call
        for event in pending.nested:
            if isinstance(event, TurnFinished):
                self._spend(event.usage, event.cost_usd)
        self.pending = [p for p in self.pending if p.call.id != result.call_id]
        if result.error is None:
            self.failures.pop((call.name, call.arguments), None)
        else:
            self.failures[call.name, call.arguments] += 1

    def _pending(self, call_id: str) -> Pending:
        return next(p for p in self.pending if p.call.id == call_id)

    def _spend(self, usage: Usage, cost_usd: float | None) -> None:
        self.usage = self.usage.plus(usage)
        if cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + cost_usd


def unfinished(events: Sequence[AnyEvent]) -> Unfinished | None:
    """Return the last turn of a session, or of a delegate, if it has no end."""
    found: Unfinished | None = None
    for event in events:
        if isinstance(event, TurnStarted):
            found = Unfinished(event)
        elif isinstance(event, TurnFinished):
            found = None
        elif found is not None:
            found.take(event)
    return found
