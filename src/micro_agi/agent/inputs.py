"""Record what a model request was built from besides the conversation, once by content.

System prompt (with what clocks, prompt functions and traits said), tools as the model saw
them, model card, options: each is stored under the hash of its content, and one record
names them all. A step that changed nothing has the same hash as the one before it and
stores nothing; a tool that was loaded stores one tool. `replay.py` reads it back.

Source: DESIGN 12, "replay uses the recorded inputs".
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from micro_agi.errors import StoreFailed
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.request import ModelOptions, ModelRequest
from micro_agi.messages import ToolSpec

Keep = Callable[[bytes], str]
"""Stores bytes with the next commit and returns their hash: `SessionJournal.keep`."""

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode  # keeps the order of keys, which the request has too


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """One record; every value but the last two is a hash."""

    system: tuple[str, ...]
    """Of the pieces whose concatenation is the system prompt."""
    tools: str
    """Of the list of the tools' hashes."""
    model: str
    options: ModelOptions
    in_words: bool = False
    """The model saw calls and results as text."""


class Recorder:
    """Turns requests into hashes of their inputs; one for a session."""

    def __init__(self, keep: Keep) -> None:
        """Take what stores bytes."""
        self.keep = keep
        self._last: tuple[tuple[object, ...], ModelRequest | None, str] = ((), None, "")
        self._tools: tuple[tuple[ToolSpec, ...], str] | None = None
        self._card: tuple[ModelCard, str] | None = None

    def of(self, request: ModelRequest, *, system: str, in_words: bool) -> str:
        """Return the hash of what `request` was built from.

        `system` is the part of its system prompt that does not change from step to step.
        """
        rest = request.system.removeprefix(system)
        pieces = (system, rest) if len(rest) < len(request.system) else (request.system,)
        # Tools and cards are the same objects from step to step; the last request holds them,
        # so that their ids stay their own.
        key = (pieces, id(request.tools), id(request.model), request.options, in_words)
        if self._last[0] != key:
            record = Inputs(
                system=tuple(self.keep(piece.encode()) for piece in pieces if piece),
                tools=self._tools_hash(request.tools),
                model=self._card_hash(request.model),
                options=request.options,
                in_words=in_words,
            )
            self._last = (key, request, self.keep(_encode(record)))
        return self._last[2]

    def _tools_hash(self, tools: tuple[ToolSpec, ...]) -> str:
        if self._tools is None or self._tools[0] is not tools:
            hashes = [self.keep(_encode(tool)) for tool in tools]
            self._tools = (tools, self.keep(_encode(hashes)))
        return self._tools[1]

    def _card_hash(self, card: ModelCard) -> str:
        if self._card is None or self._card[0] is not card:
            self._card = (card, self.keep(_encode(card)))
        return self._card[1]


class Recorded:
    """Reads recorded inputs back from what a session stored."""

    def __init__(self, stored: Mapping[str, bytes | None]) -> None:
        self._stored = stored
        self._tools: dict[str, tuple[ToolSpec, ...]] = {}
        self._cards: dict[str, ModelCard] = {}

    def read(self, key: str) -> Inputs:
        """Return one record.

        Raises: StoreFailed when it is missing or damaged.
        """
        return _decoded(key, self._body(key), Inputs)

    def system(self, inputs: Inputs) -> str:
        """Return the whole system prompt."""
        return "".join(self._body(piece).decode() for piece in inputs.system)

    def tools(self, inputs: Inputs) -> tuple[ToolSpec, ...]:
        """Return the tools as the model saw them."""
        if inputs.tools not in self._tools:
            hashes = _decoded(inputs.tools, self._body(inputs.tools), list[str])
            specs = tuple(_decoded(key, self._body(key), ToolSpec) for key in hashes)
            self._tools[inputs.tools] = specs
        return self._tools[inputs.tools]

    def card(self, inputs: Inputs) -> ModelCard:
        """Return the model's card."""
        if inputs.model not in self._cards:
            self._cards[inputs.model] = _decoded(inputs.model, self._body(inputs.model), ModelCard)
        return self._cards[inputs.model]

    def _body(self, key: str) -> bytes:
        body = self._stored.get(key)
        if body is None:
            raise _unreadable(key, "it is missing")
        return body


def _decoded(key: str, body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise _unreadable(key, str(error)) from error


def _unreadable(key: str, why: str) -> StoreFailed:
    return StoreFailed(
        f"what a request was built from cannot be read: {why}",
        where=f"blob {key}",
        fix="restore the state database from a backup",
    )
