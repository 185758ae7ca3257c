"""Choose the next token of one sequence from the model's logits."""

from typing import Any

import torch
from msgspec import Struct

from micro_agi.modelserver.engine import Sampling


class Defaults(Struct, frozen=True, kw_only=True):
    """What the model's makers recommend, for what a request leaves open."""

    temperature: float
    top_p: float
    top_k: int

    @classmethod
    def of(cls, generation: Any) -> "Defaults":
        """Read a model's generation config; one that does not sample takes the likeliest token."""
        sampled = bool(generation.do_sample)
        temperature = 1.0 if generation.temperature is None else generation.temperature
        return cls(
            temperature=temperature if sampled else 0.0,
            top_p=(generation.top_p or 1.0) if sampled else 1.0,
            top_k=(generation.top_k or 0) if sampled else 0,
        )


class Sampler:
    """Chooses tokens for one sequence; its random numbers are its own."""

    def __init__(self, sampling: Sampling, defaults: Defaults, device: torch.device) -> None:
        given = sampling
        self._temperature = defaults.temperature if given.temperature is None else given.temperature
        self._top_p = defaults.top_p if given.top_p is None else given.top_p
        self._top_k = defaults.top_k
        self._random = torch.Generator(device=device)
        if given.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(given.seed % 2**63)

    def choose(self, logits: torch.Tensor) -> int:
        """Return the next token."""
        if self._temperature == 0 or self._top_p == 0:
            return int(logits.argmax())
        logits = logits.float() / self._temperature
        if self._top_k:
            lowest = logits.topk(min(self._top_k, logits.shape[-1])).values[-1]
            logits = logits.masked_fill(logits < lowest, float("-inf"))
        likely = logits.softmax(-1)
        if self._top_p < 1:
            ordered, tokens = likely.sort(descending=True)
            # The token with which the sum passes top_p still counts, so there is always one.
            ordered = ordered.masked_fill(ordered.cumsum(-1) - ordered > self._top_p, 0)
            return int(tokens[ordered.multinomial(1, generator=self._random)])
        return int(likely.multinomial(1, generator=self._random))
