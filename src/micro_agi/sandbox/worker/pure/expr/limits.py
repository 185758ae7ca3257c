"""Bound what one formula may cost, and say which bound was reached.

The call's deadline and the worker's address space hold in any case; these limits fail
sooner, with an error that the caller can catch.
"""

from dataclasses import dataclass

SOURCE_CHARACTERS = 16_000
DEPTH = 100
"""Levels of nesting in a formula, and links in a chain such as `a.b.c` or `x | f() | g()`.
Python's own recursion limit is 1000 frames; a level takes at most eight."""
VALUE_DEPTH = 64
"""Levels of lists and maps in any value; what crosses to Lua may have no more."""
STEPS = 1_000_000
"""Nodes evaluated and items visited: about a second."""
MEMORY_BYTES = 16 << 20
"""Estimated bytes of all values made on the way, dropped ones included."""
RESULT_BYTES = 1 << 20
ITEM_BYTES = 56
"""Of one item of a list: the reference, and a number behind it."""
INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1


class ExpressionError(Exception):
    """The formula is wrong, or does not fit the values it met."""


@dataclass(slots=True)
class Budget:
    """What is left for one run."""

    steps: int = STEPS
    memory_bytes: int = MEMORY_BYTES

    def step(self, count: int = 1) -> None:
        self.steps -= count
        if self.steps < 0:
            raise ExpressionError(f"the expression takes more than {STEPS} steps")

    def text(self, characters: int) -> None:
        """Account for a text of that length before it is made."""
        self.memory_bytes -= characters
        if self.memory_bytes < 0:
            raise ExpressionError(f"the expression takes more than {MEMORY_BYTES} bytes of memory")
        self.step(characters >> 8)

    def items(self, count: int) -> None:
        """Account for a list or a map of that length before it is made."""
        self.text(count * ITEM_BYTES)
        self.step(count)
