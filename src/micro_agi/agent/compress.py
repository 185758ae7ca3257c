"""Keep a conversation inside the model's window: summarise what is old, keep what counts.

When: the prompt took more than `at` of the window, counting cached tokens. What stays word
for word: the system prompt (it is not in the conversation), the last user message, the
newest call and result pairs, and what `pins.py` lists under the summary. The original is
stored and can be recalled by its handle. If no model can summarise, or what it wrote is no
summary, an extract needs none; a summary that is too long is cut.

The budget: afterwards the conversation has `ROOM_PART` of what it may have, by the
characters that a token took in the last request. Only the last user message, and the
newest reply with its arguments, can be longer: they are never cut. Results of the newest
step that find no room are shortened.

Source: seed 000 "Context Compression"; spec/agent.md 6.15 and 7.2; DESIGN 10. Lengths are
in characters (code points).
"""

import re
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from msgspec import Struct, field

from micro_agi.agent.pins import RECALL, composed, pin, prose
from micro_agi.errors import MicroAgiError
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.compress import CHARS_PER_TOKEN, Manner, to_size
from micro_agi.llm.gateway import Gateway
from micro_agi.llm.request import ModelRequest, Reply
from micro_agi.messages import Compacted, Message, Text, Usage
from micro_agi.sessions.conversation import SUMMARY_TITLE, Conversation
from micro_agi.tools.results import HANDLE_CHARS

KEPT_MESSAGES = 8
"""Newest messages of a running turn that stay as they are."""
RECORD = Manner(
    instruction=(
        "You shorten the record of a conversation between a user and an agent, so that the "
        "agent can go on with it. Write {length}. Keep every instruction of the user, every "
        "decision, open task, name, id, path and number. Leave out greetings and repetitions. "
        "Write the summary only."
    ),
    temperature=None,
    refinements=0,
)
ROOM_PART = 0.6
"""How much of what starts a compaction is left after one: the next one shall not be near."""
LEAST_ROOM = 2000
SUMMARY_PART = 1 / 3
"""How much of the room a summary may take; what is pinned takes as much again."""
LEAST_RESULT = 200
GAIN_PART = 0.5
"""A summary is not summarised again for less than so much of its own length."""

Cheap = Callable[[ModelCard], Awaitable[ModelCard]]
"""From the session's model to the one that summarises."""
Keep = Callable[[bytes], str]
"""Stores the original with the next commit and returns its hash."""
Write = Callable[[str], Awaitable[str]]
"""From a transcript to its summary."""


class Compressor(Struct, frozen=True, kw_only=True):
    """Summarises conversations for one runtime."""

    gateway: Gateway
    cheap: Cheap
    at: float = 0.75
    target_chars: int = 4000
    clock: Callable[[], float] = time.monotonic

    def due(self, usage: Usage, card: ModelCard) -> bool:
        """Whether the last request took more of the window than it should."""
        return card.max_tokens > 0 and usage.window > self.at * card.max_tokens

    def room(
        self,
        conversation: Conversation,
        usage: Usage,
        card: ModelCard,
        *,
        chars_per_token: float = CHARS_PER_TOKEN,
    ) -> int:
        """Return the characters that the conversation may have after a compaction."""
        if not card.max_tokens:
            return max(LEAST_ROOM, 8 * self.target_chars)
        taken = size(conversation.messages)
        fixed = max(0.0, usage.window * chars_per_token - taken)  # the prompt and the tools
        allowed = self.at * card.max_tokens * chars_per_token - fixed
        return max(LEAST_ROOM, int(allowed * ROOM_PART))

    async def compact(
        self,
        conversation: Conversation,
        usage: Usage,
        card: ModelCard,
        *,
        running: bool,
        keep: Keep,
        checkpoint: Write | None = None,
        chars_per_token: float = CHARS_PER_TOKEN,
    ) -> Compacted | None:
        """Return the event that shortens the conversation, or None when nothing can go.

        `checkpoint` writes the summary in place of a model; one that fails or writes
        nothing leaves it to the model.
        """
        messages, before = conversation.messages, conversation.compacted
        room = self.room(conversation, usage, card, chars_per_token=chars_per_token)
        target = min(self.target_chars, int(room * SUMMARY_PART))
        dropped, restated = cut(messages, running=running, room=room - 2 * target)
        gained = size(messages[before is not None : dropped]) - size(restated)
        least = target * GAIN_PART if before is not None else 1
        if dropped < 2 or gained < least:
            return None
        old = messages[:dropped]
        handle = keep(as_transcript(old).encode())
        restated = [_named(m, handle) for m in restated]
        summary = await self._summary(old, card, target, checkpoint)
        kept = [*restated, *messages[dropped:]]
        pins = pin(old, kept, summary=summary.text, before=before, target_chars=target)
        return Compacted(
            summary=composed(summary.text, pins, handle),
            dropped=dropped,
            restated=tuple(restated),
            kept=len(messages) - dropped,
            tokens_before=usage.window,
            by=summary.by,
            pinned=pins.facts,
            said=pins.said,
            tasks=pins.tasks,
            unlisted=pins.unlisted,
            handle=handle[:HANDLE_CHARS],
            model=summary.model,
            seconds=summary.seconds,
            usage=summary.usage,
            cost_usd=summary.cost_usd,
        )

    async def _summary(
        self, old: Sequence[Message], card: ModelCard, target: int, checkpoint: Write | None
    ) -> "_Summary":
        """Let a model write the summary; what it wrote counts if it is one."""
        text = as_transcript(old, only_prose=True)
        if checkpoint is not None:
            try:
                if written := await checkpoint(text):
                    return _Summary(at_a_word(written, target), "checkpoint")
            except MicroAgiError:
                pass  # a strict one that failed: the model writes it
        if len(text) <= target:
            return _Summary(text, "extractive")
        found = _Summary(extract(text, target), "extractive")

        async def ask(request: ModelRequest) -> Reply:
            reply = await self.gateway.generate(request, lambda _: None)
            found.usage = found.usage.plus(reply.usage)
            if reply.cost_usd is not None:
                found.cost_usd = (found.cost_usd or 0.0) + reply.cost_usd
            return reply

        began = self.clock()
        try:
            cheap = await self.cheap(card)
            found.model = cheap.name
            summary = await to_size(ask, cheap, text, target, RECORD)
        except MicroAgiError:
            return found  # the turn must go on; the event names who wrote it
        finally:
            found.seconds = self.clock() - began
        if is_summary(summary, text):
            found.text, found.by = at_a_word(summary, target), cheap.name
        return found


class _Summary(Struct):
    text: str
    by: str
    model: str = ""
    seconds: float = 0.0
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None


def chars_per_token(body: bytes, usage: Usage) -> float:
    """Return what a token took in a request, between 1 and twice the rule of thumb."""
    if not usage.window or not body:
        return CHARS_PER_TOKEN
    return min(max(len(body.decode()) / usage.window, 1.0), 2.0 * CHARS_PER_TOKEN)


def size(messages: Sequence[Message]) -> int:
    """Return the characters of messages, with their calls."""
    return sum(
        len(m.text) + sum(len(c.name) + len(c.arguments) for c in m.tool_calls) for m in messages
    )


def cut(messages: Sequence[Message], *, running: bool, room: int) -> tuple[int, list[Message]]:
    """Return how many messages go, and which of them are said again behind the summary.

    At a turn's end everything goes but the last user message and what follows it. In a
    running turn, and where that finds no `room`, its older call and result pairs go too and
    the user message is restated; of the newest step the results are shortened if they must
    be. A call is never parted from its results.
    """
    users = [n for n, m in enumerate(messages) if m.role == "user"]
    if not users:
        return 0, []
    user = users[-1]
    room -= len(messages[user].text)
    tail = messages[user + 1 :]
    if size(tail) <= room and (not running or len(tail) < KEPT_MESSAGES):
        return user, []
    # Places where a cut parts nothing, and the newest step, which stays in any case.
    places = [n for n in range(user + 1, len(messages)) if messages[n].role != "tool"]
    steps = [n for n in places if messages[n].role == "assistant"]
    newest = steps[-1] if steps else user + 1
    fitting = [
        n
        for n in places
        if n <= newest and len(messages) - n <= KEPT_MESSAGES and size(messages[n:]) <= room
    ]
    if fitting:
        return fitting[0], [messages[user]]
    last = messages[newest:]
    return len(messages), [messages[user], *_shortened(last, room)]


def _shortened(step: Sequence[Message], room: int) -> list[Message]:
    """Shorten the results of a step so that they fit, as far as they can."""
    results = [m for m in step if m.role == "tool"]
    others = size([m for m in step if m.role != "tool"])
    each = max(LEAST_RESULT, (room - others) // max(1, len(results)))
    return [_head_and_tail(m, each) if m.role == "tool" else m for m in step]


SHORTENED = "\n… [{more} characters; {recall}HANDLE] …\n"


def _head_and_tail(result: Message, room: int) -> Message:
    text = result.text
    note = SHORTENED.format(more=len(text), recall=RECALL)
    keep = (room - len(note) - HANDLE_CHARS) // 2
    if len(text) <= room or keep <= 0:
        return result
    shown = text[:keep] + note + text[-keep:]
    return msgspec.structs.replace(result, parts=(Text(shown),))


def _named(message: Message, handle: str) -> Message:
    """Put the handle where a shortened result names it."""
    mark = f"{RECALL}HANDLE] …"
    if message.role != "tool" or mark not in message.text:
        return message
    text = message.text.replace(mark, f"{RECALL}{handle[:HANDLE_CHARS]}] …")
    return msgspec.structs.replace(message, parts=(Text(text),))


def as_transcript(messages: Sequence[Message], *, only_prose: bool = False) -> str:
    """Write messages as text: one block each, with calls and results named.

    With `only_prose`, of an earlier summary only what its writer wrote.
    """
    blocks = []
    for msg in messages:
        if msg.role == "tool":
            blocks.append(f"tool result {msg.name}: {msg.text}")
        elif msg.role == "system" and only_prose:
            blocks.append(f"system: {prose(msg.text)}")
        elif msg.text:
            blocks.append(f"{msg.role}: {msg.text.removeprefix(SUMMARY_TITLE)}")
        blocks += [f"tool call {c.name}: {c.arguments}" for c in msg.tool_calls]
    return "\n\n".join(blocks)


_WORD = re.compile(r"\w{3,}")
SHARED_PART = 0.1
"""Of a summary's words, so many are in what it sums up, even in another language: names,
ids, numbers."""
LEAST_WORDS = 8
VARIED_PART = 0.1
"""Of a summary's words, so many are different ones."""


def is_summary(summary: str, text: str) -> bool:
    """Whether a model's answer can be a summary of `text`: neither empty, nor about something
    else, nor the same word over and over. It is no judge of quality.
    """
    words = [word.lower() for word in _WORD.findall(summary)]
    if len(words) < LEAST_WORDS:
        # Scripts without spaces have few words: their length counts.
        return len(summary.strip()) >= LEAST_WORDS * 2 and bool(set(summary) & set(text))
    different = set(words)
    shared = different & {word.lower() for word in _WORD.findall(text)}
    return len(shared) >= SHARED_PART * len(different) and len(different) >= VARIED_PART * len(
        words
    )


def at_a_word(text: str, size_chars: int) -> str:
    """Cut a text that is too long, at a space if there is one near."""
    if len(text) <= size_chars:
        return text
    head = text[: size_chars - 1]
    at = head.rfind(" ", size_chars * 3 // 4)
    return (head[:at] if at > 0 else head) + "…"


def extract(text: str, target_chars: int) -> str:
    """Shorten text without a model: the start of the first block and of as many of the newest
    as fit.
    """
    blocks = text.split("\n\n")
    each = max(40, target_chars // max(1, len(blocks)) - 2)
    lines = [block if len(block) <= each else block[: each - 1] + "…" for block in blocks]
    kept: list[int] = []
    room = target_chars
    for place in (0, *range(len(lines) - 1, 0, -1)):
        room -= len(lines[place]) + 1
        if room < 0:
            break
        kept.append(place)
    return "\n".join(lines[place] for place in sorted(kept))
