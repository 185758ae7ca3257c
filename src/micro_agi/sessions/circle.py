"""Notice that a turn goes in a circle: the same calls, with the same results, again and again.

A step counts as the same when it made the same calls with the same arguments and read the
same results; `A B A B A B` is a circle of two steps like `A A A` is one of one. A tool
that is polled until its answer changes goes in none as soon as it changes.

Costs a few comparisons a step, and remembers `LONGEST` steps.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from msgspec import Struct, field

from micro_agi.messages import Message, ToolCall

LONGEST = 16
"""Steps of the longest circle that is noticed."""


class Circle(Struct, frozen=True):
    """The newest steps repeat."""

    steps: int
    """Of one round."""
    rounds: int
    """How often they were made, the first time included."""


class Circles(Struct):
    """Watches the steps of one turn; kept over a restart, so that nothing is counted anew."""

    past: list[int] = field(default_factory=list)
    """What was done in the newest steps, oldest first, as numbers to compare."""
    same: list[int] = field(default_factory=lambda: [0] * (LONGEST + 1))
    """By length of a circle: steps in a row that were the same as that many before."""
    newest: Circle | None = None
    """The circle whose round ended with the newest step."""

    def step(self, messages: Sequence[Message]) -> Circle | None:
        """Take the newest step, the end of a conversation; a circle whose round just ended."""
        results: list[tuple[str, str]] = []
        for message in reversed(messages):
            if message.role == "tool":
                results.append((message.name, message.text))
            elif message.role == "assistant":
                return self.take(message.tool_calls, reversed(results))
        return None

    def take(self, calls: Sequence[ToolCall], results: Iterable[tuple[str, str]]) -> Circle | None:
        """Take the newest step: its calls, and the name and text of each result in call order."""
        now = _number((*((call.name, call.arguments) for call in calls), *results))
        found: Circle | None = None
        for length in range(1, LONGEST + 1):
            same = length <= len(self.past) and self.past[-length] == now
            self.same[length] = self.same[length] + 1 if same else 0
            rounds, rest = divmod(self.same[length], length)
            if same and not rest and (found is None or rounds + 1 > found.rounds):
                found = Circle(length, rounds + 1)
        self.past.append(now)
        del self.past[:-LONGEST]
        self.newest = found
        return found


def _number(pairs: Iterable[tuple[str, str]]) -> int:
    """Return a number for texts: the same in every process, which `hash` is not."""
    digest = blake2b(digest_size=6)
    for text in (text for pair in pairs for text in pair):
        body = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(body))
        digest.update(body)
    return int.from_bytes(digest.digest(), "big")
