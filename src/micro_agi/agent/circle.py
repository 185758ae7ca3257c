"""Notice that a turn goes in a circle: the same calls, with the same results, again and again.

A step counts as the same when it made the same calls with the same arguments and read the
same results; `A B A B A B` is a circle of two steps like `A A A` is one of one. A tool
that is polled until its answer changes goes in none as soon as it changes.

Costs a few comparisons a step, and remembers `LONGEST` steps.
"""

from collections import deque
from collections.abc import Sequence

from msgspec import Struct

from micro_agi.messages import Message

LONGEST = 16
"""Steps of the longest circle that is noticed."""


class Circle(Struct, frozen=True):
    """The newest steps repeat."""

    steps: int
    """Of one round."""
    rounds: int
    """How often they were made, the first time included."""


class Circles:
    """Watches the steps of one turn."""

    def __init__(self) -> None:
        self._past: deque[int] = deque(maxlen=LONGEST)
        """What was done in the newest steps, as numbers to compare."""
        self._same = [0] * (LONGEST + 1)
        """By length of a circle: steps in a row that were the same as that many before."""

    def step(self, messages: Sequence[Message]) -> Circle | None:
        """Take the newest step, the end of a conversation; a circle whose round just ended."""
        now = _done(messages)
        found: Circle | None = None
        for length in range(1, LONGEST + 1):
            same = length <= len(self._past) and self._past[-length] == now
            self._same[length] = self._same[length] + 1 if same else 0
            rounds, rest = divmod(self._same[length], length)
            if same and not rest and (found is None or rounds + 1 > found.rounds):
                found = Circle(length, rounds + 1)
        self._past.append(now)
        return found


def _done(messages: Sequence[Message]) -> int:
    """Return a number for the last step's calls and what they returned."""
    done: list[tuple[str, str]] = []
    for message in reversed(messages):
        if message.role == "tool":
            done.append((message.name, message.text))
        elif message.role == "assistant":
            done += [(call.name, call.arguments) for call in message.tool_calls]
            break
    return hash(tuple(done))
