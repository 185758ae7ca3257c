"""Derive the conversation from the events of a session.

Pure. The same function serves a live turn (`apply` for each event as it happens) and a
restart (`derive` over the journal), so both always agree.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct, field

from micro_agi.messages import (
    AnyEvent,
    Circling,
    Compacted,
    Delegated,
    Message,
    Part,
    Recalled,
    Shortened,
    StepFinished,
    Text,
    ToolCallFinished,
    ToolLoaded,
    TurnFinished,
    TurnStarted,
    Usage,
    message,
)

INTERRUPTED = '{"code": "tool.interrupted", "what": "interrupted, outcome unknown"}'
"""What the model reads as the result of a call whose outcome was never committed."""

SUMMARY_TITLE = "Conversation summary:\n\n"
TRUNCATED = (
    "Your previous output was cut at its token limit and the incomplete tool calls in it were "
    "discarded. Write less, or make the calls one at a time."
)
CUT = (
    "Your previous reply was cut here because the connection failed; no tool call of it was run. "
    "If you are asked to go on, go on exactly where it stops."
)
STOPPED = (
    "Your previous reply was stopped here, by the user or a limit of time; no tool call of it was "
    "run. If you are asked to go on, go on exactly where it stops."
)
EMPTY = "Your reply was empty: it had neither text nor a tool call. Answer, or call a tool."


class Conversation(Struct):
    """The messages a model gets after the system prompt, and what the session has loaded."""

    messages: list[Message] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    """Ids of tools loaded at run time, in order, each once."""
    turn: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_usd: float = 0.0
    steps: int = 0
    calls: int = 0
    """Tool calls; like `steps` and money with those of delegates."""
    seconds: float = 0.0
    """That turns ran, without waiting for a person."""
    agent: str = ""
    compacted: Compacted | None = None
    """The newest compaction."""

    def apply(self, event: AnyEvent) -> None:
        """Take one event into account; events that change no message are ignored."""
        match event:
            case TurnStarted():
                self.close_calls()
                self.turn, self.agent = event.turn, event.agent
                self._add_user(event.message)
            case StepFinished():
                self.close_calls()
                self._add_step(event)
            case ToolCallFinished():
                self._add_result(event)
            case ToolLoaded():
                if event.tool not in self.loaded:
                    self.loaded.append(event.tool)
            case Compacted():
                summary = message("system", SUMMARY_TITLE + event.summary)
                self.messages[: event.dropped] = [summary, *event.restated]
                self.compacted = event
                self._spend(event.usage, event.cost_usd)
            case Shortened():
                self._shorten(event)
            case Recalled():
                self.messages.append(event.message)
            case TurnFinished():
                self.close_calls()
                self.seconds += event.seconds
            case Circling():
                self.messages.append(message("developer", circling(event)))
            case Delegated():
                self._add_spending(event)
            case _:
                pass

    def close_calls(self) -> None:
        """Answer every call of the last assistant message that has no result yet.

        Providers reject a call without a result; after a crash there may be some.
        """
        for call_id, name in self.open_calls():
            self.messages.append(
                Message(role="tool", parts=(Text(INTERRUPTED),), tool_call_id=call_id, name=name)
            )

    def open_calls(self) -> list[tuple[str, str]]:
        """Return (id, name) of the last assistant message's calls that have no result."""
        answered = set()
        for msg in reversed(self.messages):
            if msg.role == "tool":
                answered.add(msg.tool_call_id)
            elif msg.role == "assistant":
                return [(c.id, c.name) for c in msg.tool_calls if c.id not in answered]
            else:
                return []
        return []

    def _add_result(self, event: ToolCallFinished) -> None:
        """Put a result where its call stands among the calls: some end before others."""
        result = Message(
            role="tool",
            parts=(Text(event.content),),
            tool_call_id=event.call_id,
            name=event.name,
            # Some services are shown which results are failures.
            metadata={"error": True} if event.error is not None else {},
        )
        at = len(self.messages)
        while at and self.messages[at - 1].role == "tool":
            at -= 1
        calls = self.messages[at - 1].tool_calls if at else ()
        order = {call.id: place for place, call in enumerate(calls)}
        place = order.get(event.call_id, len(order))
        for earlier in self.messages[at:]:
            at += order.get(earlier.tool_call_id, len(order)) <= place
        self.messages.insert(at, result)

    def _add_user(self, new: Message) -> None:
        """Append a user message, or join it to an unanswered one before it."""
        last = self.messages[-1] if self.messages else None
        if last is not None and last.role == "user" and last.name == new.name:
            joined = (*last.parts[:-1], *_joined(last.parts[-1:], new.parts[:1]), *new.parts[1:])
            self.messages[-1] = Message(role="user", parts=joined, name=last.name)
        else:
            self.messages.append(new)

    def _shorten(self, event: Shortened) -> None:
        for shorter in event.results:
            old = self.messages[shorter.at]
            rest = [part for part in old.parts if not isinstance(part, Text)]
            parts = (Text(shorter.text), *rest)
            self.messages[shorter.at] = msgspec.structs.replace(old, parts=parts)

    def _add_spending(self, event: Delegated) -> None:
        """Count what a delegate spent; its messages are not of this conversation."""
        inner = event.event
        while isinstance(inner, Delegated):
            inner = inner.event
        if isinstance(inner, StepFinished):
            self._count(inner)
        elif isinstance(inner, Compacted):
            self._spend(inner.usage, inner.cost_usd)

    def _count(self, step: StepFinished) -> None:
        self._spend(step.usage, step.cost_usd)
        self.steps += 1
        self.calls += len(step.message.tool_calls)

    def _spend(self, usage: Usage, cost_usd: float | None) -> None:
        self.usage = self.usage.plus(usage)
        self.cost_usd += cost_usd or 0.0

    def _add_step(self, step: StepFinished) -> None:
        self._count(step)
        if step.message.tool_calls or step.message.text.strip():
            self.messages.append(step.message)
        elif not step.truncated:
            self.messages.append(message("developer", EMPTY))
        if step.truncated:
            self.messages.append(message("developer", TRUNCATED))
        elif step.finish_reason == "cut":
            self.messages.append(message("developer", CUT))
        elif step.finish_reason == "stopped":
            self.messages.append(message("developer", STOPPED))


def circling(event: Circling) -> str:
    """Say to a model that it goes in a circle."""
    what = "the last call" if event.steps == 1 else f"the last {event.steps} steps"
    return (
        f"You made {what} {event.rounds} times with the same arguments and got the same results. "
        f"Repeating it will not change them: do something else, or answer with what you have. "
        f"After {event.stops_at} times the turn ends."
    )


def _joined(left: tuple[Part, ...], right: tuple[Part, ...]) -> tuple[Part, ...]:
    if left and right and isinstance(left[0], Text) and isinstance(right[0], Text):
        return (Text(f"{left[0].text}\n\n{right[0].text}"),)
    return (*left, *right)


def derive(events: Iterable[AnyEvent]) -> Conversation:
    """Rebuild a conversation from all events of its session, oldest first."""
    conversation = Conversation()
    for event in events:
        conversation.apply(event)
    return conversation
