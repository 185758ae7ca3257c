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


LARGE = 8_192
"""Vectors from which on a sketch is worth its making."""
WIDE = 192
"""Numbers of a vector from which on it is."""
SKETCH = 64
"""Numbers of a vector's sketch."""
SAMPLE = 4_096
"""Vectors that the sketch is learned from."""
ROUNDS = 3
ALONE = 8_192
"""Numbers of a block that OpenBLAS multiplies in one thread."""
ROUNDING = 1e-4
"""More than 32-bit sums of a few thousand products are ever off."""


class Matrix:
    """Vectors of one length in one block of memory, each with a growing key.

    Reading that block is what a search costs: 77 MB for 50,000 vectors of 384 numbers. So a
    large one has a sketch: the part of each vector along the few directions in which most
    of them lie, and the length of the rest. The sketch bounds every likeness, and what it
    cannot rule out is compared in full: the answer is that of comparing everything. Of vectors
    without such directions it rules out little; then everything is compared.
    """

    def __init__(self, dimensions: int) -> None:
        """Make an empty one; imports numpy (0.1 s the first time)."""
        import numpy

        self._numpy = numpy
        self.dimensions = dimensions
        self._block: Any = numpy.empty((64, dimensions), dtype="<f4")
        self._keys: Any = numpy.empty(64, dtype=numpy.int64)
        self._sketch: _Sketch | None = None
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
        if limit < 1 or not self.size or len(query) != self.dimensions * BYTES:
            return []
        wanted = self._numpy.frombuffer(query, dtype="<f4")
        count = min(limit, self.size)
        rows = self._likely(wanted, count)
        if rows is None:
            likeness = _products(self._numpy, self._block[: self.size], wanted)
            top = self._top(likeness, count)
            ordered = top[self._numpy.argsort(-likeness[top], kind="stable")]
        else:
            likeness = _products(self._numpy, self._block[rows], wanted)
            ordered = rows[self._numpy.argsort(-likeness, kind="stable")[:count]]
        return [int(key) for key in self._keys[ordered]]

    def _likely(self, wanted: Any, count: int) -> Any:
        """Return the rows that may be among the closest, or None for all of them."""
        if self.size < LARGE or self.dimensions < WIDE or count * 16 > self.size:
            return None
        sketch = self._sketch
        if sketch is None or self.size > 2 * sketch.learned_from:
            sketch = self._sketch = _Sketch(self._numpy, self._block[: self.size])
        most = sketch.bounds(self._block[: self.size], wanted)
        # How alike the last of the answer is at least: that of some good rows.
        good = _products(self._numpy, self._block[self._top(most, 4 * count)], wanted)
        least = self._numpy.partition(good, -count)[-count]
        rows = self._numpy.flatnonzero(most >= least - ROUNDING)
        return rows if len(rows) * 8 <= self.size else None

    def _top(self, values: Any, count: int) -> Any:
        return self._numpy.argpartition(values, -count)[-count:]

    def _grow(self) -> None:
        self._block = self._numpy.concatenate([self._block, self._numpy.empty_like(self._block)])
        self._keys = self._numpy.concatenate([self._keys, self._numpy.empty_like(self._keys)])


def _products(numpy: Any, block: Any, vector: Any) -> Any:
    """Return the dot product of each row with a vector, in this thread alone.

    The library would split a large block among threads, which wait for each other in a
    loop: 0.5 ms of work took 25 ms where both cores were busy. Small pieces it leaves whole.
    """
    each = max(1, ALONE // len(vector))
    whole = len(block) // each * each
    found = numpy.empty(len(block), dtype="<f4")
    pieces = block[:whole].reshape(-1, each, len(vector))
    numpy.matmul(pieces, vector, out=found[:whole].reshape(-1, each))
    found[whole:] = block[whole:] @ vector
    return found


class _Sketch:
    """The part of each row along a few directions, and the length of what is left of it.

    The likeness of two vectors is that of their parts along the directions, and that of
    the rest, which is at most the product of its two lengths.
    """

    def __init__(self, numpy: Any, block: Any) -> None:
        self._numpy = numpy
        self.learned_from = len(block)
        step = max(1, len(block) // SAMPLE)
        self._directions = self._learned(block[::step])
        self._parts: Any = numpy.empty((0, SKETCH), dtype="<f4")
        self._rests: Any = numpy.empty(0, dtype="<f4")

    def _learned(self, sample: Any) -> Any:
        """Return the directions in which a sample is longest, roughly; any are right."""
        start = self._numpy.random.default_rng(0).standard_normal((sample.shape[1], SKETCH))
        found = start.astype("<f4")
        for _ in range(ROUNDS):
            found = self._numpy.linalg.qr(sample.T @ (sample @ found))[0]
        return self._numpy.ascontiguousarray(found, dtype="<f4")

    def bounds(self, block: Any, wanted: Any) -> Any:
        """Return what the likeness of each row is at most."""
        self._follow(block)
        part = wanted @ self._directions
        rest = self._rest(self._numpy.vdot(part, part))
        most = _products(self._numpy, self._parts, part)
        most += self._rests * rest
        return most

    def _follow(self, block: Any) -> None:
        """Take in the rows that came since."""
        new = block[len(self._rests) :]
        if len(new):
            parts = new @ self._directions
            rests = self._rest(self._numpy.einsum("ij,ij->i", parts, parts))
            self._parts = self._numpy.concatenate([self._parts, parts])
            self._rests = self._numpy.concatenate([self._rests, rests])

    def _rest(self, square: Any) -> Any:
        return self._numpy.sqrt(self._numpy.clip(1 - square, 0, None)).astype("<f4")
