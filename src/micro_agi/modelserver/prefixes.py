"""Keep what was computed of past sequences, and find what a new prompt shares with them.

A conversation that goes on shares almost its whole last prompt with the next one: it takes
over what is kept. Another conversation with the same system prompt shares only the start: it
gets a copy, so that the first does not lose its place. What was used least recently goes
when there is too much. Pure bookkeeping: what is kept is the engine's affair.
"""

from collections.abc import Sequence
from typing import Generic, TypeVar

from msgspec import Struct

State = TypeVar("State")

END_OF_PROMPT = 64
"""Tokens at the end of a prompt that the next turn may write differently: the marks that
open a reply, a forced call, thinking that templates drop from the past."""
WORTH = 16
"""Shared tokens for which a copy pays; fewer are computed as fast."""


class Kept(Struct, Generic[State], kw_only=True):
    """One sequence whose state is kept."""

    tokens: list[int]
    """Those that the state holds."""
    prompt: int
    """How many of them were its prompt."""
    size: int
    """Bytes."""
    state: State


class Match(Struct, Generic[State], frozen=True, kw_only=True):
    """What a prompt may start from."""

    state: State
    length: int
    """Tokens of the prompt that the state may be cut to."""
    ours: bool
    """Whether the state may be changed; else it has to be copied first."""


class Prefixes(Generic[State]):
    """The kept sequences, in the order of their use."""

    def __init__(self, *, max_bytes: int) -> None:
        """Keep at most so many bytes; 0 keeps nothing."""
        self._max_bytes = max_bytes
        self._kept: list[Kept[State]] = []

    def keep(self, kept: Kept[State]) -> None:
        """Keep a sequence that ended; those it contains, and the oldest ones, go."""
        rest = [k for k in self._kept if shared(k.tokens, kept.tokens) < len(k.tokens)]
        self._kept = [*rest, kept]
        while self._kept and sum(k.size for k in self._kept) > self._max_bytes:
            self._kept.pop(0)

    def match(self, prompt: Sequence[int], *, cuttable: bool = True) -> Match[State] | None:
        """Return the kept state with most of `prompt`, less its last token; None without one.

        One token always has to be computed: its output is the first token of the reply.
        States that are not `cuttable` serve only a prompt that goes on where they end.
        """
        if not self._kept:
            return None
        lengths = [min(shared(k.tokens, prompt), len(prompt) - 1) for k in self._kept]
        if not cuttable:
            lengths = [
                length if length == len(k.tokens) else 0
                for k, length in zip(self._kept, lengths, strict=True)
            ]
        longest = max(lengths)
        best = max(n for n, length in enumerate(lengths) if length == longest)
        kept = self._kept[best]
        goes_on = longest >= kept.prompt - END_OF_PROMPT and longest * 2 >= kept.prompt
        ours = goes_on or not cuttable
        if longest < (1 if ours else WORTH):
            return None
        self._kept.pop(best)
        if not ours:
            self._kept.append(kept)
        return Match(state=kept.state, length=longest, ours=ours)


def shared(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens two sequences have in common at their start."""
    length = min(len(first), len(second))
    if first[:length] == second[:length]:
        return length
    return next(n for n in range(length) if first[n] != second[n])
