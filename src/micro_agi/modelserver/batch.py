"""Sequences and their key-value caches: alone, cut, and several as one batch.

A batch pads the shorter ones on the left. It is put together when its sequences first get a
token together and taken apart when one of them ends or another joins, which copies the
caches once; in between nothing is copied. Models whose layers keep something else than all
keys and values (sliding windows, states) are computed one sequence at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from micro_agi.modelserver.sampler import Sampler

UNEVEN = 2
"""The longest of a batch is at most so many times the shortest: padding is computed too."""
SHORT = 256
"""Tokens below which a difference in length does not count."""


class TokenRun:
    """One sequence: see `engine.Run`."""

    def __init__(
        self, prompt: Sequence[int], cache: DynamicCache, cached: int, sampler: Sampler
    ) -> None:
        self.tokens = list(prompt)
        self.prompt = len(self.tokens)
        self.cache = cache
        self.cached = cached
        self.computed = cached
        """Tokens that are in the cache."""
        self.logits: torch.Tensor | None = None
        """Of the next token, when they are computed and it is not yet chosen."""
        self._sampler = sampler

    @property
    def ready(self) -> bool:
        """Whether the prompt is computed."""
        return self.computed >= self.prompt

    def next(self) -> int:
        """Choose the next token."""
        assert self.logits is not None, "it is chosen from logits"
        token = self._sampler.choose(self.logits)
        self.logits = None
        self.tokens.append(token)
        return token


class Batch:
    """Some sequences with one cache for all of them."""

    def __init__(self, runs: Sequence[TokenRun], cache: DynamicCache) -> None:
        """Move the sequences' caches into `cache`, which is empty."""
        self.runs = list(runs)
        self.cache = cache
        longest = max(run.computed for run in runs)
        self._padding = [longest - run.computed for run in runs]
        for index in range(len(runs[0].cache.layers)):
            layers = [run.cache.layers[index] for run in runs]
            keys, values = (
                torch.cat([_padded(getattr(layer, name), longest) for layer in layers])
                for name in ("keys", "values")
            )
            cache.update(keys, values, index)
        for run in runs:
            run.cache = cache

    def mask(self) -> torch.Tensor:
        """Return what each row may look at, the token to come included."""
        length = self.cache.get_seq_length() + 1
        mask = torch.ones(len(self.runs), length, dtype=torch.long, device=self._device)
        for row, padding in enumerate(self._padding):
            mask[row, :padding] = 0
        return mask

    def positions(self) -> torch.Tensor:
        """Return the position of the token to come in each row."""
        return torch.tensor([[run.computed] for run in self.runs], device=self._device)

    def dissolve(self, new_cache: Callable[[], DynamicCache]) -> None:
        """Give each sequence a cache of its own again."""
        for row, (run, padding) in enumerate(zip(self.runs, self._padding, strict=True)):
            own = new_cache()
            for index, layer in enumerate(self.cache.layers):
                keys, values = (
                    tensor[row : row + 1, :, padding : padding + run.computed].clone()
                    for tensor in (layer.keys, layer.values)
                )
                own.update(keys, values, index)
            run.cache = own

    @property
    def _device(self) -> Any:
        return self.cache.layers[0].keys.device


class Batches:
    """Which sequences are computed together."""

    def __init__(self, new_cache: Callable[[], DynamicCache]) -> None:
        self._new_cache = new_cache
        self._possible = croppable(new_cache())
        self._batches: list[Batch] = []

    def groups(self, runs: Sequence[TokenRun]) -> Iterator[list[TokenRun]]:
        """Split sequences into those that are computed together; batches of others end."""
        if not self._possible:
            groups = [[run] for run in runs]
        else:
            groups = []
            # Batches stay as they are while their lengths grow evenly: nothing is copied.
            for run in sorted(runs, key=lambda r: r.computed):
                shortest = groups[-1][0].computed if groups else 0
                if groups and run.computed <= max(UNEVEN * shortest, SHORT):
                    groups[-1].append(run)
                else:
                    groups.append([run])
        wanted = [{id(run) for run in group} for group in groups]
        for batch in [b for b in self._batches if {id(r) for r in b.runs} not in wanted]:
            self._end(batch)
        yield from groups

    def of(self, group: Sequence[TokenRun]) -> Batch:
        """Return the batch of these sequences; its rows are in the order of its `runs`."""
        members = {id(run) for run in group}
        for batch in self._batches:
            if {id(run) for run in batch.runs} == members:
                return batch
        batch = Batch(group, self._new_cache())
        self._batches.append(batch)
        return batch

    def release(self, run: TokenRun) -> None:
        """Take a sequence out of its batch, so that its cache is its own."""
        for batch in [b for b in self._batches if run in b.runs]:
            self._end(batch)

    def _end(self, batch: Batch) -> None:
        self._batches.remove(batch)
        batch.dissolve(self._new_cache)


def croppable(cache: DynamicCache) -> bool:
    """Whether all layers keep all keys and values, which can be cut anywhere."""
    return bool(cache.layers) and all(type(layer) is DynamicLayer for layer in cache.layers)


def cut(cache: DynamicCache, length: int) -> DynamicCache:
    """Shorten a cache to its first tokens and return it."""
    surplus = cache.get_seq_length() - length
    if surplus:
        for layer in cache.layers:
            layer.crop(-surplus)
    return cache


def cut_copy(cache: DynamicCache, length: int, copy: DynamicCache) -> DynamicCache:
    """Fill `copy` with the first tokens of a cache and return it."""
    for index, layer in enumerate(cache.layers):
        copy.update(layer.keys[:, :, :length].clone(), layer.values[:, :, :length].clone(), index)
    return copy


def size_of(cache: DynamicCache) -> int:
    """Return the bytes of a cache."""
    tensors = (t for layer in cache.layers for t in vars(layer).values())
    return sum(t.nbytes for t in tensors if isinstance(t, torch.Tensor))


def _padded(tensor: torch.Tensor, length: int) -> torch.Tensor:
    return torch.nn.functional.pad(tensor, (0, 0, length - tensor.shape[2], 0))
