"""Walk through a journal again: before each model request, the conversation as it was then.

Pure: recorded events in, requests out. Delegates' conversations are inside their caller's
events, each with its own; `path` says which delegate's it is.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from micro_agi.messages import AnyEvent, Delegated, Message, StepStarted
from micro_agi.sessions.conversation import Conversation
from micro_agi.sessions.rows import Recorded


class Asked(Struct, frozen=True, kw_only=True):
    """One model request of the journal."""

    seq: int
    """Of the event that announced it."""
    turn: int
    path: tuple[str, ...]
    """Delegates around it, by agent id, outermost first."""
    started: StepStarted
    messages: list[Message]
    """The conversation at that moment; it goes on growing, so use it before the next one."""


class _Walk(Struct):
    path: tuple[str, ...] = ()
    conversation: Conversation = field(default_factory=Conversation)
    inner: dict[str, "_Walk"] = field(default_factory=dict)
    """Of delegates, by the call they answer, as long as the step lasts."""

    def take(self, event: AnyEvent, row: Recorded) -> Iterator[Asked]:
        if isinstance(event, StepStarted):
            self.inner.clear()  # the calls of the step before have ended
            yield Asked(
                seq=row.seq,
                turn=row.turn,
                path=self.path,
                started=event,
                messages=self.conversation.messages,
            )
        elif isinstance(event, Delegated):
            walk = self.inner.setdefault(event.call_id, _Walk((*self.path, event.agent)))
            yield from walk.take(event.event, row)
        self.conversation.apply(event)


def requests(recorded: Iterable[Recorded]) -> Iterator[Asked]:
    """Yield every model request of a session in the order they were made."""
    walk = _Walk()
    for row in recorded:
        yield from walk.take(row.event, row)
