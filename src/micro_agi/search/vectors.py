"""Vectors as bytes, and which of many are most like one.

Vectors are of unit length and stored as 32-bit floats, so likeness is a dot product. With
numpy (extra `vectors`) all vectors are compared, from a matrix in memory that grows
with the table; without it a few hundred candidates are compared one by one.
"""

import array
import importlib.util
import math
import operator
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

BYTES = 4
"""Of one number: little-endian, so that a state file can be moved to another machine."""


def pack(vector: Sequence[float]) -> bytes:
    """Return a vector as bytes, scaled to unit length.

    Raises: ValueError for an empty vector, one of zeros, or one with a number that is none.
    """
    length = math.sqrt(math.fsum(x * x for x in vector))
    if not length or not math.isfinite(length):
        raise ValueError("an embedding without a direction")
    packed = array.array("f", (x / length for x in vector))
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack(data: bytes) -> "array.array[float]":
    """Return the numbers of a packed vector."""
    vector = array.array("f", data)
    if sys.byteorder == "big":
        vector.byteswap()
    return vector


def closest(query: bytes, candidates: Mapping[int, bytes], limit: int) -> list[int]:
    """Return the candidates most like the query, best first; needs no numpy."""
    wanted = unpack(query)
    near = {
        key: sum(map(operator.mul, wanted, unpack(data)))
        for key, data in candidates.items()
        if len(data) == len(query)
    }
    return sorted(near, key=lambda key: -near[key])[:limit]


def numpy_is_there() -> bool:
    """Whether a `Matrix` can be made; costs microseconds and imports nothing."""
    return importlib.util.find_spec("numpy") is not None


class Matrix:
    """Vectors of one length in one block of memory, each with a growing key.

    A million numbers take 4 MB and less than a millisecond of a search.
    """

    def __init__(self, dimensions: int) -> None:
        """Make an empty one; imports numpy (0.1 s the first time)."""
        import numpy

        self._numpy = numpy
        self.dimensions = dimensions
        self._block: Any = numpy.empty((64, dimensions), dtype="<f4")
        self._keys: Any = numpy.empty(64, dtype=numpy.int64)
        self.size = 0

    def add(self, rows: Iterable[tuple[int, bytes]]) -> None:
        """Append vectors; those of another length are passed over."""
        for key, data in rows:
            if len(data) != self.dimensions * BYTES:
                continue
            if self.size == len(self._keys):
                self._grow()
            self._block[self.size] = self._numpy.frombuffer(data, dtype="<f4")
            self._keys[self.size] = key
            self.size += 1

    def closest(self, query: bytes, limit: int) -> list[int]:
        """Return the keys of the vectors most like the query, best first."""
        if not self.size or len(query) != self.dimensions * BYTES:
            return []
        likeness = self._block[: self.size] @ self._numpy.frombuffer(query, dtype="<f4")
        count = min(limit, self.size)
        top = self._numpy.argpartition(-likeness, count - 1)[:count]
        ordered = top[self._numpy.argsort(-likeness[top], kind="stable")]
        return [int(key) for key in self._keys[ordered]]

    def _grow(self) -> None:
        self._block = self._numpy.concatenate([self._block, self._numpy.empty_like(self._block)])
        self._keys = self._numpy.concatenate([self._keys, self._numpy.empty_like(self._keys)])
