"""The engine: one Transformers model, its tokenizer, and what is kept of past sequences.

Each sequence has a key-value cache of its own. Those that get a token together are computed
as one batch, for as long as the same ones stay together (`batch.py`). A prompt is computed in
pieces whose length follows the machine's speed, so that nobody waits long for anybody.
"""

import inspect
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jinja2
import torch
from transformers import DynamicCache

from micro_agi.errors import InputInvalid
from micro_agi.modelserver.batch import Batches, TokenRun, croppable, cut, cut_copy, size_of
from micro_agi.modelserver.engine import Parser, Sampling, Wire
from micro_agi.modelserver.prefixes import Kept, Prefixes
from micro_agi.modelserver.sampler import Defaults, Sampler
from micro_agi.modelserver.template_parser import CALLS, TemplateParser

ALONE_S, AMONG_OTHERS_S = 2.0, 0.25
"""What a piece of a prompt should take, while nobody or somebody else waits for tokens. Each
piece costs about a token's time more, which is for reading the weights once."""
FIRST_SPEED = 256
"""Tokens a second at most, before any piece has been computed."""
OPERATIONS = 5e10
"""That a thread of a processor computes in a second, about: a first piece of a large model
should not take a minute."""
SHORTEST_PIECE = 32
_ENDLESS = 1 << 20
"""Some tokenizers say so about lengths that nobody set."""


class TransformersEngine:
    """See `engine.Engine`."""

    def __init__(
        self, network: Any, tokenizer: Any, *, name: str, window: int, cache_bytes: int
    ) -> None:
        """`window` is the most tokens; 0 takes all that the model was made for."""
        self._network = network
        self._tokenizer = tokenizer
        self.name = name
        config = network.config.get_text_config(decoder=True)
        made_for = getattr(config, "max_position_embeddings", 0) or tokenizer.model_max_length
        most = made_for if made_for < _ENDLESS else _ENDLESS
        self.window = min(window, most) if window else most
        generation = network.generation_config
        ends = generation.eos_token_id
        self._ends = {*(ends if isinstance(ends, list) else [ends]), tokenizer.eos_token_id}
        self._defaults = Defaults.of(generation)
        self._prefixes: Prefixes[DynamicCache] = Prefixes(max_bytes=cache_bytes)
        self._batches = Batches(self._new_cache)
        self._croppable = croppable(self._new_cache())
        needed = 2 * network.num_parameters()
        self._speed = min(FIRST_SPEED, OPERATIONS * torch.get_num_threads() / needed)
        known = inspect.signature(network.forward).parameters
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in known else {}

    def render(self, messages: Sequence[Wire], tools: Sequence[Wire], *, reply: bool = True) -> str:
        """See `Engine`."""
        return str(self._template(messages, tools, reply=reply, tokenize=False))

    def prompt(self, messages: Sequence[Wire], tools: Sequence[Wire]) -> list[int]:
        """See `Engine`."""
        made = self._template(
            messages,
            tools,
            reply=True,
            tokenize=True,
            return_dict=True,
            sanitize_control_tokens=True,
        )
        return list(made["input_ids"])

    def _template(
        self, messages: Sequence[Wire], tools: Sequence[Wire], *, reply: bool, **options: Any
    ) -> Any:
        if self._tokenizer.chat_template is None:
            raise InputInvalid(
                f"`{self.name}` has no chat template: it was not made for conversations",
                where="messages",
                fix="use /v1/completions, or a model for chat",
            )
        try:
            return self._tokenizer.apply_chat_template(
                list(messages), tools=list(tools) or None, add_generation_prompt=reply, **options
            )
        except (jinja2.TemplateError, ValueError, TypeError) as error:
            raise InputInvalid(
                f"the model's chat template refuses this: {error}"[:500],
                where="messages",
                fix="give a conversation in the form that the model knows",
            ) from error

    def encode(self, text: str) -> list[int]:
        """See `Engine`."""
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def decode(self, tokens: Sequence[int]) -> str:
        """See `Engine`."""
        return str(self._tokenizer.decode(tokens, clean_up_tokenization_spaces=False))

    def is_end(self, token: int) -> bool:
        """See `Engine`."""
        return token in self._ends

    def parser(self, prompt: str, tools: Sequence[Wire]) -> Parser | None:
        """See `Engine`."""
        template = self._tokenizer.response_template
        if template is None:
            return None
        if not tools:
            # Nobody may call anything, so what looks like a call is text.
            fields = {name: field for name, field in template["fields"].items() if name != CALLS}
            template = {**template, "fields": fields}
        made = self._tokenizer.get_response_parser(
            template, prefix=prompt, tools=list(tools) or None
        )
        return TemplateParser(made, template)

    def start(self, prompt: Sequence[int], sampling: Sampling) -> TokenRun:
        """See `Engine`."""
        cache, cached = self._from_kept(prompt)
        sampler = Sampler(sampling, self._defaults, self._network.device)
        return TokenRun(prompt, cache, cached, sampler)

    def prefill(self, run: TokenRun, *, alone: bool) -> None:
        """See `Engine`."""
        rest = run.tokens[run.computed :]
        most = max(int(self._speed * (ALONE_S if alone else AMONG_OTHERS_S)), SHORTEST_PIECE)
        # A small rest is not worth a piece of its own.
        piece = rest[:most] if len(rest) > most + most // 4 else rest
        started = time.monotonic()
        logits = self._forward([piece], run.cache)
        took = time.monotonic() - started
        run.computed += len(piece)
        if run.computed == run.prompt:
            run.logits = logits[0]
        if len(piece) >= SHORTEST_PIECE:
            self._speed = len(piece) / took

    def step(self, runs: Sequence[TokenRun]) -> list[int]:
        """See `Engine`."""
        with torch.inference_mode():
            for group in self._batches.groups([run for run in runs if run.logits is None]):
                for run, logits in self._group(group):
                    run.computed += 1
                    run.logits = logits
            return [run.next() for run in runs]

    def _group(self, group: Sequence[TokenRun]) -> Iterable[tuple[TokenRun, torch.Tensor]]:
        if len(group) == 1:
            logits = self._forward([group[0].tokens[-1:]], group[0].cache)
            return ((group[0], logits[0]),)
        batch = self._batches.of(group)
        rows = self._forward(
            [run.tokens[-1:] for run in batch.runs],
            batch.cache,
            attention_mask=batch.mask(),
            position_ids=batch.positions(),
        )
        return zip(batch.runs, rows, strict=True)

    def finish(self, run: TokenRun) -> None:
        """See `Engine`."""
        self._batches.release(run)
        tokens = run.tokens[: run.computed]
        if tokens:
            kept = Kept(
                tokens=tokens,
                prompt=min(run.prompt, len(tokens)),
                size=size_of(run.cache),
                state=run.cache,
            )
            self._prefixes.keep(kept)

    def _from_kept(self, prompt: Sequence[int]) -> tuple[DynamicCache, int]:
        match = self._prefixes.match(prompt, cuttable=self._croppable)
        if match is None:
            return self._new_cache(), 0
        if match.ours:
            return cut(match.state, match.length), match.length
        return cut_copy(match.state, match.length, self._new_cache()), match.length

    def _new_cache(self) -> DynamicCache:
        return DynamicCache(config=self._network.config)

    def _forward(
        self, tokens: list[list[int]], cache: DynamicCache, **options: Any
    ) -> torch.Tensor:
        """Return the logits behind the last token of each row, and fill the cache."""
        with torch.inference_mode():
            made: Mapping[str, Any] = self._network(
                input_ids=torch.tensor(tokens, device=self._network.device),
                past_key_values=cache,
                use_cache=True,
                **self._last_only,
                **options,
            )
            return made["logits"][:, -1]
