"""What a turn that was killed had done: enough to go on with it.

Pure: events in, values out. Nothing is guessed: a call without a committed outcome is
`pending`, with what is known about it, and the turn decides by its class (DESIGN 12).
"""

from collections import Counter

from msgspec import Struct, field

from micro_agi.messages import (
    AnyEvent,
    ApprovalAnswered,
    ApprovalAsked,
    Circling,
    Compacted,
    Delegated,
    StepFinished,
    ToolCall,
    ToolCallFinished,
    ToolCallStarted,
    TurnFinished,
    TurnResumed,
    TurnStarted,
    Usage,
)
from micro_agi.sessions.circle import Circles


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
    at: float = 0.0
    """When its newest event was committed."""
    seconds: float = 0.0
    """That it ran, without the time that a person thought, or that nobody ran it."""
    steps: int = 0
    calls: int = 0
    truncated: int = 0
    """Replies before `last` that were cut at their limit."""
    empty: int = 0
    """Replies before `last` that had neither text nor a call."""
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    failed: dict[str, dict[str, int]] = field(default_factory=dict)
    """How often calls failed, by name and arguments."""
    circles: Circles = field(default_factory=Circles)
    counted: bool = False
    """Whether `circles` has taken `last` already."""
    told: bool = False
    """Whether the model was told after `last` that it goes in a circle."""
    last: StepFinished | None = None
    """The newest reply of the model."""
    pending: list[Pending] = field(default_factory=list)
    """Calls of `last` without an outcome, in call order."""
    results: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Of the other calls of `last`, by call: its name, and what the model reads."""

    @property
    def failures(self) -> Counter[tuple[str, str]]:
        """How often calls failed, as a turn counts them."""
        calls = self.failed.items()
        return Counter({(name, text): n for name, texts in calls for text, n in texts.items()})

    def take(self, event: AnyEvent, at: float = 0.0) -> None:
        """Take the turn's next event into account."""
        if not isinstance(event, ApprovalAnswered | TurnResumed):
            self.seconds += max(0.0, at - self.at)
        self.at = at
        match event:
            case StepFinished():
                self._step(event)
            case Compacted():
                self._spend(event.usage, event.cost_usd)
            case ToolCallStarted():
                if pending := self._pending(event.call_id):
                    pending.intent = event
            case ToolCallFinished():
                self._finished(event)
            case ApprovalAsked() | ApprovalAnswered():
                for pending in self.pending:
                    if event.call_id.endswith(f"/{pending.call.id}"):  # a call's key
                        pending.asking = isinstance(event, ApprovalAsked)
            case Circling():
                self.told = True
            case Delegated():
                if pending := self._pending(event.call_id):
                    pending.nested.append(event.event)
            case _:
                pass

    def _step(self, step: StepFinished) -> None:
        self.steps = step.step
        self._spend(step.usage, step.cost_usd)
        if self.last is not None:
            self.truncated += self.last.truncated
            self.empty += _is_empty(self.last)
        self.last, self.counted, self.told, self.results = step, False, False, {}
        self.calls += len(step.message.tool_calls)
        self.pending = [
            Pending(call, ToolCallStarted(call_id=call.id, name=call.name, tool="", arguments=None))
            for call in step.message.tool_calls
        ]

    def _finished(self, result: ToolCallFinished) -> None:
        pending = self._pending(result.call_id)
        if pending is None:
            return
        call = pending.call
        for event in pending.nested:
            if isinstance(event, TurnFinished):
                self._spend(event.usage, event.cost_usd)
        # One of them: some models give two calls the same id.
        self.pending = [p for p in self.pending if p is not pending]
        times = self.failed.setdefault(call.name, {})
        if result.error is None:
            times.pop(call.arguments, None)
        else:
            times[call.arguments] = times.get(call.arguments, 0) + 1
        self.results[call.id] = (result.name, result.content)
        if not self.pending and self.last is not None:
            calls = self.last.message.tool_calls
            self.circles.take(calls, [self.results[c.id] for c in calls])
            self.counted, self.results = True, {}

    def _pending(self, call_id: str) -> Pending | None:
        return next((p for p in self.pending if p.call.id == call_id), None)

    def _spend(self, usage: Usage, cost_usd: float | None) -> None:
        self.usage = self.usage.plus(usage)
        if cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + cost_usd


def _is_empty(step: StepFinished) -> bool:
    return not (step.truncated or step.message.tool_calls or step.message.text.strip())
