"""Ask an agent's memory contract what is worth remembering for the next step.

The contract is a function entry, or a binding of `wippy.agent:memory` to one. It gets what
happened lately and which memories are in the conversation already; what it returns becomes
a developer message that the session keeps, so that the same memory is not told twice and
the cooldown can be counted. It may be slow, wrong or gone: the step goes on without it.

Source: spec/agent.md 3.3. Differences: `enabled: false` is honoured, results are cut to the
constraints and known ids dropped, failures are told, and a call has a time limit.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from micro_agi.agent.traits import Call
from micro_agi.errors import EntryInvalid, MicroAgiError, ToolFailed
from micro_agi.messages import Message, message
from micro_agi.registry.snapshot import Snapshot
from micro_agi.tools.binding import function_behind
from micro_agi.values import as_object

CONTRACT = "wippy.agent:memory"
HEADING = "Relevant context from your memory:"
MARK = "memory_ids"


class RecallOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`options` of a memory contract, with the reference's defaults; other keys are ignored."""

    enabled: bool = True
    max_actions: int = 8
    message_types: tuple[str, ...] = ("user", "assistant", "function_result", "developer")
    scan_limit: int = 50
    """Newest messages in which known memories are looked for."""
    max_items: int = 3
    max_length: int = 1000
    """Characters of all memories together."""
    min_conversation_length: int = 2
    """Messages of any role."""
    recall_cooldown: int = 1
    """Messages since the last recall."""
    timeout_s: float = 5.0
    """The model waits for it at every step."""


class MemoryContract(Struct, frozen=True, kw_only=True):
    """`memory_contract` of an agent."""

    function: str
    """Id of the function that is asked."""
    context: Mapping[str, Any]
    options: RecallOptions


class _Memory(msgspec.Struct, frozen=True):
    content: str
    id: str | int = ""


class _Answer(msgspec.Struct, frozen=True):
    memories: list[_Memory] = []


def read_contract(snapshot: Snapshot, value: Mapping[str, Any], *, agent: str) -> MemoryContract:
    """Read `memory_contract` of an agent and find the function behind it.

    Raises: EntryInvalid or EntryNotFound naming what is wrong.
    """
    where = f"{agent} at memory_contract"
    wanted = value.get("implementation_id")
    if not isinstance(wanted, str) or not wanted:
        raise EntryInvalid(
            "the memory contract names no implementation", where=where, fix="give implementation_id"
        )
    try:
        options = msgspec.convert(dict(as_object(value.get("options"))), RecallOptions)
    except msgspec.ValidationError as error:
        raise EntryInvalid(
            f"options of the memory contract do not fit: {error}",
            where=f"{where}.options",
            fix="see docs/agents.md",
        ) from error
    return MemoryContract(
        function=function_behind(snapshot, wanted, CONTRACT, "recall", where=where),
        context=as_object(value.get("context")),
        options=options,
    )


async def recall(
    contract: MemoryContract,
    messages: Sequence[Message],
    *,
    call: Call,
    values: Mapping[str, Any],
    before: Sequence[str | int] = (),
) -> Message | None:
    """Return the developer message with what the contract remembers, or None for nothing.

    `before` are ids of memories that are known from before this conversation.
    Raises: MicroAgiError when the function fails, is too slow or returns something else.
    """
    options = contract.options
    if not options.enabled or not due(messages, options):
        return None
    known = list(dict.fromkeys([*known_ids(messages, options), *before]))
    request = {
        "recent_actions": recent_actions(messages, options),
        "previous_memories": known,
        "constraints": {"max_items": options.max_items, "max_length": options.max_length},
    }
    try:
        async with asyncio.timeout(options.timeout_s):
            raw = await call(contract.function, [request], {**contract.context, **values})
        answer = msgspec.convert(raw or {}, _Answer, strict=False)
    except TimeoutError as error:
        raise ToolFailed(
            f"memory `{contract.function}` took longer than {options.timeout_s:g} s",
            where=contract.function,
        ) from error
    except msgspec.ValidationError as error:
        raise ToolFailed(
            f"memory `{contract.function}` returned something else: {error}",
            where=contract.function,
            fix="return {memories = {{id = …, content = …}}}",
        ) from error
    except MicroAgiError as error:
        raise ToolFailed(
            f"memory `{contract.function}` failed: {error.what}", where=error.where, fix=error.fix
        ) from error
    kept = _within(answer.memories, known, options)
    if not kept:
        return None
    text = HEADING + "\n\n" + "\n".join(f"- {m.content}" for m in kept)
    return message("developer", text, metadata={MARK: [m.id for m in kept]})


def due(messages: Sequence[Message], options: RecallOptions) -> bool:
    """Whether the conversation is long enough and the last recall long enough ago."""
    since = 0
    for past in reversed(messages):
        if MARK in past.metadata:
            break
        since += 1
    return len(messages) >= options.min_conversation_length and since >= options.recall_cooldown


def known_ids(messages: Sequence[Message], options: RecallOptions) -> list[str | int]:
    """Return the ids of memories in the conversation, newest message first, each once."""
    newest = list(reversed(messages))[: options.scan_limit]
    ids = [i for past in newest for i in past.metadata.get(MARK, ())]
    return list(dict.fromkeys(ids))


def recent_actions(messages: Sequence[Message], options: RecallOptions) -> list[str]:
    """Describe the newest messages, oldest first, each as one line of its first text."""
    actions: list[str] = []
    for past in reversed(messages):
        if len(actions) >= options.max_actions:
            break
        line = _action(past, options)
        if line:
            actions.append(line)
    return actions[::-1]


def _action(past: Message, options: RecallOptions) -> str:
    kind = "function_result" if past.role == "tool" else past.role
    if kind not in options.message_types or kind == "system" or MARK in past.metadata:
        return ""
    if past.role == "tool":
        return f"tool: {past.name} -> {past.text}"
    name = "system" if past.role == "developer" else past.role
    return f"{name}: {past.text}" if past.text else ""


def _within(
    memories: Sequence[_Memory], known: Sequence[str | int], options: RecallOptions
) -> list[_Memory]:
    """Drop what the conversation has, then cut to the constraints."""
    kept: list[_Memory] = []
    room = options.max_length
    for memory in memories:
        new = memory.content.strip() and (memory.id == "" or memory.id not in known)
        if new and len(kept) < options.max_items and len(memory.content) <= room:
            kept.append(memory)
            room -= len(memory.content)
    return kept
