"""Say on which cores this process runs, and what it starts meanwhile."""

import os
from collections.abc import Iterator, Set
from contextlib import contextmanager

EVERY_CORE = frozenset(os.sched_getaffinity(0))


@contextmanager
def one_core(core: int = max(EVERY_CORE)) -> Iterator[None]:
    """Stay on one core for as long as the block lasts."""
    with _on({core}):
        yield


@contextmanager
def all_cores() -> Iterator[None]:
    """Run where the kernel likes, within a block on one core."""
    with _on(EVERY_CORE):
        yield


@contextmanager
def _on(cores: Set[int]) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
