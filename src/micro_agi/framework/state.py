"""Keep what Lua calls hold in the parent: agent contexts, runners, what models said.

It belongs to one call in flight and goes with it, however the call ends; a worker has only
numbers, which mean nothing in another call.
"""

from msgspec import Struct, field

from micro_agi.agent.context import AgentContext
from micro_agi.agent.step import Runner
from micro_agi.errors import InputInvalid, LimitReached
from micro_agi.framework.conversation import Said
from micro_agi.sandbox.host.calls import Frame

MOST_OBJECTS = 200
"""Agent contexts and runners of one call."""


class Held(Struct):
    """What one call holds."""

    contexts: list[AgentContext] = field(default_factory=list)
    runners: list[Runner] = field(default_factory=list)
    said: Said = field(default_factory=Said)

    def add_context(self, context: AgentContext) -> int:
        """Keep an agent context; return its number.

        Raises: LimitReached.
        """
        self._check()
        self.contexts.append(context)
        return len(self.contexts)

    def add_runner(self, runner: Runner) -> int:
        """Return the number of a runner, kept if it is new.

        Raises: LimitReached.
        """
        for number, known in enumerate(self.runners, 1):
            if known is runner:
                return number
        self._check()
        self.runners.append(runner)
        return len(self.runners)

    def context(self, number: object) -> AgentContext:
        """Return the context with this number.

        Raises: InputInvalid.
        """
        if isinstance(number, int) and 0 < number <= len(self.contexts):
            return self.contexts[number - 1]
        raise _unknown("agent context")

    def runner(self, number: object) -> Runner:
        """Return the runner with this number.

        Raises: InputInvalid.
        """
        if isinstance(number, int) and 0 < number <= len(self.runners):
            return self.runners[number - 1]
        raise _unknown("runner")

    def _check(self) -> None:
        if len(self.contexts) + len(self.runners) >= MOST_OBJECTS:
            raise LimitReached(
                f"more than {MOST_OBJECTS} agents in one call",
                where="wippy.agent:context",
                fix="make one context and load agents into it",
            )


def _unknown(what: str) -> InputInvalid:
    return InputInvalid(
        f"this {what} does not belong to the running call",
        where="wippy.agent:context",
        fix="make it in the call that uses it",
    )


class Frames:
    """What every call in flight holds."""

    def __init__(self) -> None:
        self._held: dict[int, Held] = {}

    def __len__(self) -> int:
        """How many calls hold something."""
        return len(self._held)

    def of(self, frame: Frame) -> Held:
        """Return what a call holds."""
        held = self._held.get(id(frame))
        if held is None:
            held = self._held[id(frame)] = Held()
            frame.at_end.append(lambda: self._forget(frame))
        return held

    def _forget(self, frame: Frame) -> None:
        del self._held[id(frame)]
