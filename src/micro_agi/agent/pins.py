"""What a compaction keeps word for word beside its summary, whoever wrote that.

The user's own messages, open tasks, and the ids, paths and numbers that the summary lost
(`facts.py`). Each has its share of room. Of messages the first and the newest stay, of
facts those that people and the model named before those that only tools returned; what
finds no room is counted, and the handle of the original is under the summary.

Pure. An open task is an unticked line of a checklist (`- [ ] …`) or one that begins with
`TODO:`; a later ticked line with the same words, or `DONE:`, closes it.
"""

import re
from collections.abc import Sequence

from msgspec import Struct

from micro_agi.agent.facts import lost
from micro_agi.messages import Compacted, Message
from micro_agi.sessions.conversation import SUMMARY_TITLE
from micro_agi.tools.results import HANDLE_CHARS

SAID = "The user's own words before this, oldest first:"
TASKS = "Open tasks:"
MENTIONED = "Also mentioned: "
RECALL = "The original of all this: `recall` with handle "
SECTIONS = (SAID, TASKS, MENTIONED, RECALL)

SAID_PART, TASKS_PART, FACTS_PART = 0.5, 0.25, 0.25
"""Room of each, in lengths of the summary."""
LONG_PART = 0.5
"""A message of the user that would take more of its room is cut in the middle."""

_TASK = re.compile(r"^\s*(?:(?:[-*+]|\d+[.)])\s+\[([ xX])\]\s+|(TODO|DONE):\s*)(\S.*?)\s*$", re.M)


class Pins(Struct, frozen=True, kw_only=True):
    """What was kept, and how much of it found no room."""

    said: tuple[str, ...]
    tasks: tuple[str, ...]
    facts: tuple[str, ...]
    unlisted: int
    """Messages, tasks and facts without room."""


def pin(
    old: Sequence[Message],
    kept: Sequence[Message],
    *,
    summary: str,
    before: Compacted | None,
    target_chars: int,
) -> Pins:
    """Choose what stays of `old` beside its summary, with `kept` behind it."""
    known = {m.text for m in kept if m.role == "user"}
    said = [*(before.said if before else ()), *_words(old, "user")]
    said = [text for text in dict.fromkeys(said) if text not in known]
    fits = _first_and_newest(said, int(target_chars * SAID_PART))
    open_tasks = _open_tasks([*(before.tasks if before else ())], old)
    tasks = _within(open_tasks, int(target_chars * TASKS_PART))
    there = "\n".join([summary, *fits, *tasks, *(text_of(m) for m in kept)])
    facts = _lost_facts(old, there)
    listed = _within(facts, int(target_chars * FACTS_PART))
    return Pins(
        said=fits,
        tasks=tasks,
        facts=listed,
        unlisted=len(said) - len(fits) + len(open_tasks) - len(tasks) + len(facts) - len(listed),
    )


def composed(summary: str, pins: Pins, handle: str) -> str:
    """Write the text that stands for a part of the conversation."""
    parts = [summary.strip()]
    if pins.said:
        parts.append("\n".join([SAID, *(f"> {_quoted(text)}" for text in pins.said)]))
    if pins.tasks:
        parts.append("\n".join([TASKS, *(f"- [ ] {task}" for task in pins.tasks)]))
    if pins.facts:
        parts.append(MENTIONED + ", ".join(pins.facts))
    more = f" ({pins.unlisted} more things found no room here)" if pins.unlisted else ""
    parts.append(f"{RECALL}{handle[:HANDLE_CHARS]}{more}")
    return "\n\n".join(parts)


def prose(text: str) -> str:
    """Return the part of a composed text that its writer wrote."""
    text = text.removeprefix(SUMMARY_TITLE)
    ends = [at for section in SECTIONS if (at := text.find(f"\n\n{section}")) >= 0]
    return text[: min(ends, default=len(text))]


def text_of(message: Message) -> str:
    """Return all words of a message, its calls' arguments included."""
    return "\n".join([message.text, *(f"{c.name} {c.arguments}" for c in message.tool_calls)])


def _words(messages: Sequence[Message], role: str) -> list[str]:
    return [m.text for m in messages if m.role == role and m.text]


def _lost_facts(old: Sequence[Message], there: str) -> list[str]:
    """Return the facts of `old` that nothing names any more, the most important first."""
    named = "\n".join(text_of(m) for m in old if m.role != "tool")
    returned = "\n".join(m.text for m in old if m.role == "tool")
    return list(dict.fromkeys([*lost(named, there), *lost(returned, there)]))


def _open_tasks(before: list[str], old: Sequence[Message]) -> list[str]:
    tasks = dict.fromkeys(before)
    for message in old:
        if message.role == "system":
            continue  # an earlier summary: its tasks are in `before`
        for ticked, word, task in _TASK.findall(message.text):
            if word == "DONE" or ticked in ("x", "X"):
                tasks.pop(task, None)
            else:
                tasks[task] = None
    return list(tasks)


def _within(texts: Sequence[str], room: int) -> tuple[str, ...]:
    """Return the first texts that fit."""
    kept: list[str] = []
    for text in texts:
        room -= len(text) + 2
        if room < 0:
            break
        kept.append(text)
    return tuple(kept)


def _first_and_newest(texts: Sequence[str], room: int) -> tuple[str, ...]:
    """Return the first text and as many of the newest as fit, in their order."""
    longest = int(room * LONG_PART)
    shown = [text if len(text) <= longest else _middle_cut(text, longest) for text in texts]
    order = [0, *range(len(shown) - 1, 0, -1)] if shown else []
    kept: list[int] = []
    for place in order:
        room -= len(shown[place]) + 3
        if room < 0:
            break
        kept.append(place)
    return tuple(shown[place] for place in sorted(kept))


def _middle_cut(text: str, room: int) -> str:
    half = max(1, (room - 3) // 2)
    return f"{text[:half]} … {text[-half:]}"


def _quoted(text: str) -> str:
    return text.replace("\n", "\n> ")
