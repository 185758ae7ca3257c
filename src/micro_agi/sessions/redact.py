"""Take registered secrets out of everything that is kept or shown.

A secret may come back in a server's error, in what a tool returns, in what a model repeats,
also cut in two by a stream: text that may be the beginning of one is held until it is
known not to be.

Shorter ones than `SHORTEST` are left alone: the `x` that some local servers want for a key
would make holes into every word.
Source: DESIGN 6.
"""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from micro_agi.messages import AnyEvent, Delegated, TextDelta, ThinkingDelta, ToolSpec
from micro_agi.values import Secret

MASK = "***"
SHORTEST = 6

Event = TypeVar("Event", bound=AnyEvent)
Delta = TextDelta | ThinkingDelta

_encoder = msgspec.json.Encoder()


class Redactor:
    """The secrets of one runtime. More may be added as they become known."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._texts: list[str] = []
        self._written: list[bytes] = []
        """As JSON writes them inside a string."""
        for secret in secrets:
            self.add(secret)

    @property
    def known(self) -> int:
        """How many secrets there are; grows only."""
        return len(self._texts)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to hide."""
        return not self._texts

    def add(self, secret: Secret) -> None:
        """Hide a secret from now on."""
        text = secret.reveal()
        if len(text) >= SHORTEST and text not in self._texts:
            # A longer one first: it may contain a shorter one.
            self._texts = sorted([*self._texts, text], key=len, reverse=True)
            self._written = [_encoder.encode(t)[1:-1] for t in self._texts]

    def text(self, text: str) -> str:
        """Return a text without any secret in it."""
        for secret in self._texts:
            text = text.replace(secret, MASK)
        return text

    def event(self, event: Event) -> Event:
        """Return an event without any secret in it; most come back as they are."""
        if not self._written:
            return event
        body = _encoder.encode(event)
        if not any(secret in body for secret in self._written):
            return event
        for secret in self._written:
            body = body.replace(secret, MASK.encode())
        clean: Event = msgspec.json.decode(body, type=type(event))
        return clean

    def tools(self, tools: tuple[ToolSpec, ...]) -> tuple[ToolSpec, ...]:
        """Return tools whose descriptions and schemas hold no secret; mostly the same tuple.

        For what a model is shown, and only that: what runs has the schema that was written.
        """
        shown = [(tool.description, tool.schema) for tool in tools]
        body = _encoder.encode(shown)
        if not any(secret in body for secret in self._written):
            return tools
        clean = msgspec.json.decode(self.body(body), type=list[tuple[str, dict[str, Any]]])
        return tuple(
            msgspec.structs.replace(tool, description=description, schema=schema)
            for tool, (description, schema) in zip(tools, clean, strict=True)
        )

    def body(self, body: bytes) -> bytes:
        """Return text or JSON, as bytes, without any secret in it."""
        for secret in (*self._written, *(text.encode() for text in self._texts)):
            body = body.replace(secret, MASK.encode())
        return body

    def possible(self, text: str) -> int:
        """Return how many characters at the end of `text` may be the beginning of a secret."""
        return max((_overlap(text, secret) for secret in self._texts), default=0)


class Stream:
    """What one listener is shown: no secret that is split over deltas.

    Events come without whole ones already (`Redactor.event`).
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held: dict[tuple[str, ...], tuple[AnyEvent, str]] = {}
        """By who says it and how: the newest delta, and the text that is held."""

    def shown(self, event: AnyEvent) -> Iterable[AnyEvent]:
        """Return what may be shown now that `event` has happened."""
        return (event,) if self._redactor.empty else self._shown(event)

    def _shown(self, event: AnyEvent) -> Iterator[AnyEvent]:
        path, inner = _place(event)
        if not isinstance(inner, Delta):
            yield from self._rest(path)
            yield event
            return
        key = (*path, type(inner).__name__)
        before = self._held.pop(key)[1] if key in self._held else ""
        text = self._redactor.text(before + inner.text)
        held = self._redactor.possible(text)
        if held:
            self._held[key] = (event, text[-held:])
        if held < len(text):
            yield _with_text(event, text[: len(text) - held])

    def _rest(self, path: tuple[str, ...]) -> Iterator[AnyEvent]:
        """Yield what was held of those who say no more of this: it was no secret."""
        for key in [k for k in self._held if k[: len(path)] == path]:
            event, text = self._held.pop(key)
            yield _with_text(event, text)


def _place(event: AnyEvent) -> tuple[tuple[str, ...], AnyEvent]:
    """Return through which calls an event of a delegate comes, and the event itself."""
    path: tuple[str, ...] = ()
    while isinstance(event, Delegated):
        path, event = (*path, event.call_id), event.event
    return path, event


def _with_text(event: AnyEvent, text: str) -> AnyEvent:
    if isinstance(event, Delegated):
        return msgspec.structs.replace(event, event=_with_text(event.event, text))
    return msgspec.structs.replace(event, text=text)


def _overlap(text: str, secret: str) -> int:
    """Return the length of the longest end of `text` with which `secret` begins."""
    at = max(0, len(text) - len(secret) + 1)
    while (at := text.find(secret[0], at)) >= 0:
        if secret.startswith(text[at:]):
            return len(text) - at
        at += 1
    return 0
