"""Fuse several rankings into one, by ranks alone: their scores cannot be compared.

Reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009). Pure.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")

SMOOTHING = 60
"""Of the paper: being found twice counts more than being found first once."""


def fuse(rankings: Iterable[Sequence[T]]) -> list[T]:
    """Return everything that some ranking has, best first; of equals, the first seen.

    >>> fuse([["a", "b", "c"], ["b", "d"]])
    ['b', 'a', 'd', 'c']
    """
    scores: dict[T, float] = {}
    for ranking in rankings:
        for place, found in enumerate(ranking, 1):
            scores[found] = scores.get(found, 0.0) + 1 / (SMOOTHING + place)
    return sorted(scores, key=lambda found: -scores[found])
