"""Fit a request into its model's window before it is sent: small windows fill within one step.

What a tool returned goes first, the oldest first, down to its head and tail around a handle
by which `read_result` gives the rest; then the newest step's results share what is left.
Only then is the conversation summarised (`compress.py`). What people and the model said is
never touched here.

Tokens are estimated from characters, by what the model counted last. A server that counts
otherwise refuses the request, and what it refused is the new limit.
Source: spec/local-agent.md 7.9.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence

from micro_agi.llm.request import ModelRequest
from micro_agi.messages import Message, ShortenedResult, Usage
from micro_agi.values import JsonObject

REPLY_PART = 4
"""A reply may take this part of a window, if the agent asks for more than that."""
TOKENS_PER_CHAR = 0.3
"""Until the model has counted: a little more than English and code take."""
LEAST_TOKENS_PER_CHAR, MOST_TOKENS_PER_CHAR = 0.1, 1.5
REFUSED_PART = 0.7
"""Of a request that was refused as too long, what the next one may have."""
FIRST_CUT = 600
"""Characters that stay of an old result; of a new one its share, at least `LEAST`."""
LEAST = 300
MESSAGE_CHARS = 40
"""What one message takes besides its text."""

Shorten = Callable[[str, int], Awaitable[str]]
"""From a text and its new length to its head and tail around a handle: `Results.cut`."""


def reply_tokens(wanted: int, window: int) -> int:
    """Return what a reply may take of a window; 0 is an unknown window.

    >>> reply_tokens(4096, 128_000), reply_tokens(4096, 8192), reply_tokens(4096, 0)
    (4096, 2048, 4096)
    """
    return min(wanted, max(1, window // REPLY_PART)) if window else wanted


class Fit:
    """What is known about the window of one turn's model."""

    def __init__(self, shorten: Shorten) -> None:
        self._shorten = shorten
        self._tokens_per_char = TOKENS_PER_CHAR
        self._refused = 0
        """Characters that the server would not take."""
        self._tools: tuple[object, int] = ((), 0)
        self._talk = _Talk()

    def learn(self, request: ModelRequest, usage: Usage) -> None:
        """Take into account what the model counted."""
        chars = self._chars(request)
        if usage.window and not self._talk.more_than_text:
            found = usage.window / max(1, chars)
            self._tokens_per_char = min(max(found, LEAST_TOKENS_PER_CHAR), MOST_TOKENS_PER_CHAR)

    def refused(self, request: ModelRequest) -> None:
        """Take into account that the server had no room for a request."""
        self._refused = self._chars(request)

    def tokens(self, request: ModelRequest) -> int:
        """Return how many tokens a request takes, about."""
        return int(self._chars(request) * self._tokens_per_char)

    def tokens_in(self, text: str) -> int:
        """Return how many tokens a text takes, about."""
        return int(len(text) * self._tokens_per_char) + 1

    def excess(self, request: ModelRequest, body: bytes) -> int:
        """Return how many characters a request is too long, or 0."""
        window = request.model.max_tokens
        if not self._refused and (not window or len(body) < window // 2):
            return 0  # a byte is hardly ever more than a token: nothing to count
        chars = self._chars(request)
        rooms = [int(self._refused * REFUSED_PART)] if self._refused else []
        if window:
            reply = reply_tokens(request.options.max_tokens or window, window)
            rooms.append(int((window - reply) / self._tokens_per_char))
        return max(0, chars - min(rooms)) if rooms else 0

    async def shorter(self, messages: Sequence[Message], excess: int) -> list[ShortenedResult]:
        """Return the results to shorten so that `excess` characters go, as far as that goes."""
        called = [n for n, m in enumerate(messages) if m.tool_calls]
        newest = called[-1] if called else len(messages)
        places = [n for n, m in enumerate(messages) if m.role == "tool"]
        lengths = {n: len(messages[n].text) for n in places}
        wanted: dict[int, int] = {}
        for n in (n for n in places if n < newest):
            if excess <= 0:
                break
            if lengths[n] > FIRST_CUT:
                wanted[n] = FIRST_CUT
                excess -= lengths[n] - FIRST_CUT
        if excess > 0:
            wanted |= _shares({n: lengths[n] for n in places if n > newest}, excess)
        return [
            ShortenedResult(at=n, text=await self._shorten(messages[n].text, length))
            for n, length in sorted(wanted.items())
        ]

    def _chars(self, request: ModelRequest) -> int:
        tools = request.tools
        if self._tools[0] is not tools:
            self._tools = (tools, sum(_tool_chars(t.description, t.schema) for t in tools))
        return len(request.system) + self._tools[1] + self._talk.count(request.messages)


class _Talk:
    """The length of a conversation that grows at its end: each message is counted once."""

    def __init__(self) -> None:
        self._counted: list[Message] = []
        self._chars = 0
        self.more_than_text = False
        """Whether a message of it has a part that has no text."""

    def count(self, messages: Sequence[Message]) -> int:
        """Return what `talk_chars` returns."""
        # Lists compare by identity first: nanoseconds a message.
        if messages[: len(self._counted)] != self._counted:
            self._counted, self._chars, self.more_than_text = [], 0, False
        new = messages[len(self._counted) :]
        self._chars += talk_chars(new)
        self.more_than_text = self.more_than_text or any(map(_has_more_than_text, new))
        self._counted += new
        return self._chars


def talk_chars(messages: Sequence[Message]) -> int:
    """Return the characters of a conversation, with its calls."""
    return sum(
        MESSAGE_CHARS + len(m.text) + sum(len(c.name) + len(c.arguments) for c in m.tool_calls)
        for m in messages
    )


def _shares(lengths: Mapping[int, int], excess: int) -> dict[int, int]:
    """Return new lengths for those that are longer than their fair share of what is left."""
    left = max(0, sum(lengths.values()) - excess)
    shares: dict[int, int] = {}
    waiting = sorted(lengths, key=lambda n: lengths[n])
    while waiting:
        share = max(LEAST, left // len(waiting))
        n = waiting.pop(0)
        if lengths[n] > share:
            shares[n] = share
        left = max(0, left - min(lengths[n], share))
    return shares


def _tool_chars(description: str, schema: JsonObject) -> int:
    return MESSAGE_CHARS + len(description) + len(json.dumps(schema))


def _has_more_than_text(said: Message) -> bool:
    return any(not hasattr(part, "text") for part in said.parts)
