"""Join a request's body from messages and tools that were encoded once.

A conversation grows at its end, so of each conversation seen lately the encoded messages
are kept, with the state of the hash behind them: a step encodes and hashes only what is
new and copies the rest once. The body's bytes before the last message never change from
step to step, which is what a server's prefix cache needs.

Nothing grows without bound: the least recently used conversations go when there are more
than `MAX_CONVERSATIONS` or their bytes exceed `MAX_BYTES`; then a step encodes all again.

Source: DESIGN 14 and 15.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from msgspec import Struct, field

from micro_agi.messages import Message

MAX_CONVERSATIONS = 128
MAX_BYTES = 32 << 20
MAX_KEPT = 16
"""Tool lists, and starts and ends of bodies, of one provider."""

State: TypeAlias = tuple[Any, ...]
"""What a dialect knows after a message: what waits or is still open; empty at the start."""

Made = TypeVar("Made")


class Encode(Protocol):
    """How a dialect writes messages."""

    def message(self, message: Message, state: State) -> tuple[bytes, State]:
        """Return the bytes for one message, and the state after it.

        What begins an item of the list has a comma before it, also the first.
        """
        ...

    def rest(self, state: State) -> bytes:
        """Return the bytes for what still waits or is open at the end."""
        ...


class _Conversation(Struct):
    """What is kept of one conversation; `hasher` has seen `head` and all fragments."""

    head: bytes = b""
    messages: list[Message] = field(default_factory=list)
    fragments: list[bytes] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    """The state after each message."""
    hasher: Any = None
    size: int = 0

    def cut(self, count: int) -> None:
        """Forget all after the first `count` messages."""
        del self.messages[count:], self.fragments[count:], self.states[count:]
        self.hasher = None
        self.size = sum(map(len, self.fragments))

    @property
    def state(self) -> State:
        """The state after the last message."""
        return self.states[-1] if self.states else ()

    def start(self, head: bytes) -> None:
        """Take the head of the next body."""
        if head[-1:] != self.head[-1:]:
            self.cut(0)  # whether the first item has a comma depends on the head's end
        if self.hasher is None or head != self.head:
            self.head = head
            self.hasher = hashlib.sha256(head)
            for fragment in self.fragments:
                self.hasher.update(fragment)

    def extend(self, messages: Sequence[Message], encode: Encode) -> None:
        """Encode the messages after those that are known."""
        for message in messages:
            fragment, state = encode.message(message, self.state)
            if self.head.endswith(b"[") and not self.size:
                fragment = fragment.removeprefix(b",")
            self.messages.append(message)
            self.fragments.append(fragment)
            self.states.append(state)
            self.size += len(fragment)
            self.hasher.update(fragment)


class History:
    """The encoded conversations of one provider."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, _Conversation] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """Return how many conversations are kept."""
        return len(self._known)

    def body(
        self, head: bytes, messages: Sequence[Message], tail: bytes, encode: Encode
    ) -> tuple[bytes, str]:
        """Return the body `head` + messages + `tail`, and its SHA-256 in hexadecimal.

        `head` ends inside the list of messages: in `[` when the list is still empty.
        """
        wanted = list(messages)
        # By identity of the first message: it is kept here, so its id stays its own.
        key = id(wanted[0]) if wanted else 0
        known = self._known.pop(key, None) or _Conversation()
        self._bytes -= known.size
        common = _common(known.messages, wanted)
        if common < len(known.messages):
            known.cut(common)
        known.start(head)
        known.extend(wanted[len(known.messages) :], encode)
        if len(wanted) > 1:
            # One message alone costs nothing to encode again, and is mostly a question that is
            # asked once: what a summariser gets is as long as a whole window.
            self._known[key] = known
            self._bytes += known.size
            self._shrink()

        ending = encode.rest(known.state) + tail
        if head.endswith(b"[") and not known.size:
            ending = ending.removeprefix(b",")
        hasher = known.hasher.copy()
        hasher.update(ending)
        return b"".join((head, *known.fragments, ending)), hasher.hexdigest()

    def _shrink(self) -> None:
        while len(self._known) > 1 and (
            len(self._known) > MAX_CONVERSATIONS or self._bytes > MAX_BYTES
        ):
            _, oldest = self._known.popitem(last=False)
            self._bytes -= oldest.size


def _common(known: list[Message], wanted: list[Message]) -> int:
    """Count the first messages that both have."""
    # Lists compare by identity first, so this costs nanoseconds a message.
    if wanted[: len(known)] == known:
        return len(known)
    pairs = zip(known, wanted, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a is not b), min(len(known), len(wanted)))


class Kept(Generic[Made]):
    """What was made of some objects, kept by their identity, so that it is made once."""

    def __init__(self, make: Callable[..., Made]) -> None:
        self._make = make
        self._known: dict[tuple[object, ...], tuple[tuple[object, ...], Made]] = {}

    def of(self, *parts: object) -> Made:
        """Return `make(*parts)`; texts count as the same when they are equal."""
        key = tuple([part if type(part) is str else id(part) for part in parts])
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MAX_KEPT:
                del self._known[next(iter(self._known))]
            # The parts are kept too, so their ids stay their own.
            known = self._known[key] = (parts, self._make(*parts))
        return known[1]
