"""Keep a conversation inside the model's window: summarise what is old, keep what counts.

When: the prompt took more than `at` of the window, counting cached tokens. What stays word
for word: the system prompt (it is not in the conversation), the last user message, and in
a running turn the newest call and result pairs. Ids, paths and numbers that the summary
lost are listed under it. If no model can summarise, an extract needs none.

Source: seed 000 "Context Compression"; spec/agent.md 6.15 and 7.2; DESIGN 10. Lengths are
in characters (code points).
"""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from micro_agi.errors import MicroAgiError
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.compress import Manner, to_size
from micro_agi.llm.gateway import Gateway
from micro_agi.llm.request import ModelRequest, Reply
from micro_agi.messages import Compacted, Message, Usage
from micro_agi.sessions.conversation import SUMMARY_TITLE, Conversation

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
MAX_PINNED = 40
FACT = re.compile(
    r"\b[a-z][\w.]*:[a-z]\w*\b"  # registry ids
    r"|(?:\.{0,2}/)[\w.-]+(?:/[\w.-]+)*"  # paths
    r"|\bhttps?://[^\s\"'<>)]+"  # URLs
    r"|\b[0-9a-f]{8,64}\b"  # hashes and handles
    r"|\b\d[\d.,:_-]*\d{2,}\b"  # numbers of three digits or more, dates, versions
)

Cheap = Callable[[ModelCard], Awaitable[ModelCard]]
"""From the session's model to the one that summarises."""
Write = Callable[[str], Awaitable[str]]
"""From a transcript to its summary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressor:
    """Summarises conversations for one runtime."""

    gateway: Gateway
    cheap: Cheap
    at: float = 0.75
    target_chars: int = 4000

    def due(self, usage: Usage, card: ModelCard) -> bool:
        """Whether the last request took more of the window than it should."""
        return card.max_tokens > 0 and usage.window > self.at * card.max_tokens

    async def compact(
        self,
        conversation: Conversation,
        usage: Usage,
        card: ModelCard,
        *,
        running: bool,
        checkpoint: Write | None = None,
    ) -> Compacted | None:
        """Return the event that shortens the conversation, or None when nothing can go.

        `checkpoint` writes the summary in place of a model; one that fails or writes
        nothing leaves it to the model.
        """
        dropped, restated = cut(conversation.messages, running=running)
        if dropped < 2:
            return None
        old = conversation.messages[:dropped]
        text = as_transcript(old)
        summary, by = await self._summary(text, card, checkpoint)
        pinned = lost_facts(text, summary + as_transcript(restated))
        if pinned:
            summary += "\n\nAlso mentioned: " + ", ".join(pinned)
        return Compacted(
            summary=summary,
            dropped=dropped,
            restated=tuple(restated),
            kept=len(conversation.messages) - dropped,
            tokens_before=usage.window,
            by=by,
            pinned=tuple(pinned),
        )

    async def _summary(
        self, text: str, card: ModelCard, checkpoint: Write | None
    ) -> tuple[str, str]:
        if checkpoint is not None:
            try:
                if written := await checkpoint(text):
                    return written[: self.target_chars], "checkpoint"
            except MicroAgiError:
                pass  # a strict one that failed: the model writes it
        if len(text) <= self.target_chars:
            return text, "extractive"
        try:
            cheap = await self.cheap(card)
            summary = await to_size(self._ask, cheap, text, self.target_chars, RECORD)
            summary = summary[: self.target_chars + self.target_chars // 10]
        except MicroAgiError:
            # The turn must go on without a summariser; the event names who wrote it.
            return extract(text, self.target_chars), "extractive"
        return summary, cheap.name

    async def _ask(self, request: ModelRequest) -> Reply:
        return await self.gateway.generate(request, lambda _: None)


def cut(messages: Sequence[Message], *, running: bool) -> tuple[int, list[Message]]:
    """Return how many messages go, and which of them are said again behind the summary.

    At a turn's end everything goes but the last user message and what follows it; in a
    running turn also its older call and result pairs, and then the user message is
    restated. A pair is never split.
    """
    users = [n for n, m in enumerate(messages) if m.role == "user"]
    if not users:
        return 0, []
    last_user = users[-1]
    if not running or len(messages) - last_user <= KEPT_MESSAGES:
        return last_user, []
    at = len(messages) - KEPT_MESSAGES
    while at < len(messages) and messages[at].role == "tool":
        at += 1
    if at >= len(messages):  # the newest step alone is longer than what is kept
        return last_user, []
    return at, [messages[last_user]]


def as_transcript(messages: Sequence[Message]) -> str:
    """Write messages as text: one block each, with calls and results named."""
    blocks = []
    for msg in messages:
        if msg.role == "tool":
            blocks.append(f"tool result {msg.name}: {msg.text}")
        elif msg.text:
            blocks.append(f"{msg.role}: {msg.text.removeprefix(SUMMARY_TITLE)}")
        blocks += [f"tool call {c.name}: {c.arguments}" for c in msg.tool_calls]
    return "\n\n".join(blocks)


def extract(text: str, target_chars: int) -> str:
    """Shorten text without a model: the start of each block, as much as fits."""
    blocks = text.split("\n\n")
    each = max(40, target_chars // max(1, len(blocks)) - 2)
    lines: list[str] = []
    room = target_chars
    for block in blocks:
        line = block if len(block) <= each else block[: each - 1] + "…"
        if room < len(line) + 1:
            break
        lines.append(line)
        room -= len(line) + 1
    return "\n".join(lines)


def lost_facts(before: str, after: str) -> list[str]:
    """Return ids, paths, URLs and numbers that only `before` has, commonest first."""
    counted = Counter(match.group().rstrip(".,:;") for match in FACT.finditer(before))
    return [fact for fact, _ in counted.most_common() if fact not in after][:MAX_PINNED]
