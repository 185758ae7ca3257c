"""What the columns of a table hold: kinds, how many are missing, ranges, means, frequent values.

One pass, in memory that does not grow with the file: distinct values are counted up to a
number, after which it says "more than".
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from micro_agi.local.data.table import MOST_COLUMNS, cell, kind_of, kind_of_all

DISTINCT = 1000
FREQUENT = 3


class Column:
    """Collects the facts of one column."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._count = 0
        self._missing = 0
        self._kinds: set[str] = set()
        self._values: dict[Any, int] = {}
        self._more = False
        self._numbers = 0
        self._mean = 0.0
        self._spread = 0.0
        self._least: Any = None
        self._most: Any = None
        self._shortest = self._longest = -1

    def add(self, value: Any) -> None:
        """Take one cell along."""
        self._count += 1
        kind = kind_of(value)
        self._kinds.add(kind)
        if kind == "empty":
            self._missing += 1
            return
        self._seen(value)
        if kind in ("integer", "number"):
            self._number(float(value))
        elif kind in ("text", "date") and isinstance(value, str):
            size = len(value)
            self._shortest = size if self._shortest < 0 else min(self._shortest, size)
            self._longest = max(self._longest, size)
            if kind == "date":
                self._range(value)

    def facts(self) -> dict[str, Any]:
        """Return what was found; numbers without a meaning for the column are left out."""
        kind = kind_of_all(self._kinds)
        found: dict[str, Any] = {"name": cell(self.name), "kind": kind, "missing": self._missing}
        found["distinct"] = f"more than {DISTINCT}" if self._more else len(self._values)
        if kind in ("integer", "number"):
            spread = math.sqrt(self._spread / (self._numbers - 1)) if self._numbers > 1 else 0.0
            found |= {"min": self._least, "max": self._most, "mean": _rounded(self._mean)}
            return found | {"deviation": _rounded(spread)}
        if kind == "date":
            found |= {"min": self._least, "max": self._most}
        if kind in ("text", "mixed") and self._longest >= 0:
            found["length"] = [self._shortest, self._longest]
        if kind != "empty" and not self._more and len(self._values) < self._count - self._missing:
            often = sorted(self._values.items(), key=lambda pair: -pair[1])[:FREQUENT]
            found["frequent"] = [[cell(value), count] for value, count in often]
        return found

    def _seen(self, value: Any) -> None:
        if isinstance(value, list | dict):
            self._more = True  # their text would cost more than it says
        elif value in self._values:
            self._values[value] += 1
        elif len(self._values) < DISTINCT:
            self._values[value] = 1
        else:
            self._more = True

    def _number(self, value: float) -> None:
        if not math.isfinite(value):
            return
        self._numbers += 1
        # Welford: exact enough in one pass, also for large numbers that differ little.
        step = value - self._mean
        self._mean += step / self._numbers
        self._spread += step * (value - self._mean)
        self._range(int(value) if value.is_integer() and abs(value) < 1e15 else value)

    def _range(self, value: Any) -> None:
        self._least = value if self._least is None else min(self._least, value)
        self._most = value if self._most is None else max(self._most, value)


def describe(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> tuple[int, list[Column]]:
    """Return how many rows there were, and what the first hundred columns hold."""
    found = [Column(name) for name in columns[:MOST_COLUMNS]]
    total = 0
    for row in rows:
        total += 1
        for column, value in zip(found, row, strict=False):
            column.add(value)
    return total, found


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
