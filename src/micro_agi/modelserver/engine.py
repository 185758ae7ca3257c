"""What the server needs from a model: text to tokens, tokens to the next token.

The seam between everything that can be tested without a model (wire, queue, prompt, tool
calls, prefixes) and the one part that cannot (`transformers_engine.py`). `start`, `prefill`,
`step` and `finish` are called by the one thread of `generation.py` only.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from msgspec import Struct

from micro_agi.messages import ToolCall

Wire: TypeAlias = Mapping[str, Any]
Piece: TypeAlias = tuple[Literal["content", "thinking"], str]
"""A piece of a reply, and what it is a piece of."""


class Sampling(Struct, frozen=True, kw_only=True):
    """How the next token is chosen; None is what the model's makers recommend."""

    temperature: float | None = None
    """0 takes the likeliest token."""
    top_p: float | None = None
    seed: int | None = None
    """With the same seed, prompt and machine the reply is the same."""


class Run(Protocol):
    """One sequence that is being generated; the engine's own state of it."""

    @property
    def cached(self) -> int:
        """How many tokens of the prompt did not have to be computed."""
        ...

    @property
    def ready(self) -> bool:
        """Whether the prompt has been computed, so that `Engine.step` may take it."""
        ...


class Parser(Protocol):
    """Reads one reply while it is written."""

    def feed(self, text: str) -> list[Piece]:
        """Take the next text and return what may be shown."""
        ...

    def has_call(self) -> bool:
        """Whether what was fed so far holds a call that can be run."""
        ...

    def finish(self, end: str = "") -> tuple[list[Piece], list[ToolCall]]:
        """Return what is still to be shown, and the calls; nothing may be fed after it.

        `end` is the mark with which the model ended the reply, if it did so itself.
        """
        ...


class Engine(Protocol):
    """A model with its tokenizer; it takes only runs that it started itself."""

    @property
    def name(self) -> str:
        """What clients call the model."""
        ...

    @property
    def window(self) -> int:
        """Tokens that fit, prompt and reply together."""
        ...

    def render(self, messages: Sequence[Wire], tools: Sequence[Wire], *, reply: bool = True) -> str:
        """Write a conversation with the model's own chat template.

        Shape: `messages` and `tools` as Chat Completions has them, but arguments of calls are
        objects. `reply` ends the text where the model's reply begins.
        Raises: InputInvalid when the template refuses the conversation.
        """
        ...

    def prompt(self, messages: Sequence[Wire], tools: Sequence[Wire]) -> list[int]:
        """Return the tokens of `render`, in which marks that a message holds are plain text.

        So nobody's message, and no tool's result, can pretend to be another role.
        Raises: InputInvalid when the template refuses the conversation.
        """
        ...

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text that goes on, in which marks count as such."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens."""
        ...

    def is_end(self, token: int) -> bool:
        """Whether this token ends a reply."""
        ...

    def parser(self, prompt: str, tools: Sequence[Wire]) -> Parser | None:
        """Return what reads a reply by the tokenizer's own response template; None without one.

        `prompt` is the rendered prompt with all that was prefilled of the reply.
        """
        ...

    def start(self, prompt: Sequence[int], sampling: Sampling) -> Run:
        """Begin a sequence, from the kept prefix that has most in common with it."""
        ...

    def prefill(self, run: Any, *, alone: bool) -> None:
        """Compute the next piece of a prompt: short enough to wait for, unless it is `alone`."""
        ...

    def step(self, runs: Sequence[Any]) -> list[int]:
        """Return the next token of each run, all of which are `ready`."""
        ...

    def finish(self, run: Any) -> None:
        """End a sequence, whether or not it is complete, and keep what was computed of it."""
        ...
