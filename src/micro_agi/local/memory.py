"""`memory`: what the agent remembers, as a tool, and as a memory contract that is asked by itself.

Both give items with where they came from and when, as data: what was remembered may have
been read on a web page, and no sentence in it is an instruction. Whose memory it is, the
call's context says; a model cannot name another.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from micro_agi.errors import ArgumentsInvalid, PolicyDenied
from micro_agi.local.provenance import moment, origin_of, tenant_of
from micro_agi.local.tool import Arguments, LocalTool, parse
from micro_agi.memory.item import PREFIX, Item, Origin
from micro_agi.memory.memory import FOUND, LISTED, Filter, Memory
from micro_agi.security.context import CallContext
from micro_agi.security.need import Need
from micro_agi.values import as_object

TOOL = "local:memory"
RECALL = "local:recall"
SHOWN_CHARS = 400
"""Of one memory that is told unasked; `get` gives the rest."""
WRITES = frozenset({"add", "update", "delete"})
_ID = re.compile(rf"\b{PREFIX}[0-9]+")
_SPEAKER = re.compile(r"^(?:user|assistant|system|tool): ?(?:\S+ -> )?")

Operation = Literal["add", "search", "get", "update", "delete", "list"]


class MemoryArguments(Arguments, frozen=True):
    operation: Operation
    content: str | None = None
    query: str = ""
    id: str = ""
    tags: tuple[str, ...] | None = None
    metadata: dict[str, Any] | None = None
    session: str = ""
    limit: int | None = None
    after: str = ""
    expected_revision: int | None = None


class Constraints(msgspec.Struct, frozen=True):
    max_items: int = 3
    max_length: int = 1000


class RecallRequest(msgspec.Struct, frozen=True):
    """What the contract `wippy.agent:memory` is asked."""

    recent_actions: tuple[str, ...] = ()
    previous_memories: tuple[str | int, ...] = ()
    constraints: Constraints = Constraints()
    working_on: str = ""


def memory_tool(memory: Memory) -> LocalTool:
    """Return the tool."""

    def needs(value: Any, _: CallContext) -> list[Need]:
        parse(value, MemoryArguments, TOOL)
        return []

    async def run(value: Any, context: CallContext) -> dict[str, Any]:
        wanted = parse(value, MemoryArguments, TOOL)
        space = tenant_of(context)
        context.forbid_denied(f"memory.{wanted.operation}", f"memory:{space}")
        if context.trial is not None and wanted.operation in WRITES:
            raise PolicyDenied("nothing is remembered in a trial", where=TOOL)
        return await _answer(memory, wanted, origin_of(context), space)

    return LocalTool(run=run, needs=needs)


def recall_tool(memory: Memory) -> LocalTool:
    """Return the function behind the memory contract."""

    async def run(value: Any, context: CallContext) -> dict[str, Any]:
        request = parse(value, RecallRequest, RECALL)
        space = tenant_of(context)
        context.forbid_denied("memory.search", f"memory:{space}")
        # The newest words first: the question is cut, and the last one counts most.
        said = [_SPEAKER.sub("", action) for action in reversed(request.recent_actions)]
        text = " ".join([request.working_on, *said])
        # What the tool answered a moment ago need not be told again.
        shown = _ID.findall(" ".join(said))
        found = await memory.related(
            text,
            without=[*map(str, request.previous_memories), *shown],
            limit=max(0, request.constraints.max_items),
            space=space,
        )
        return {"memories": told(found, request.constraints.max_length)}

    return LocalTool(run=run, needs=lambda _value, _context: [])


async def _answer(
    memory: Memory, wanted: MemoryArguments, origin: Origin, space: str
) -> dict[str, Any]:
    only = Filter(tags=wanted.tags or (), metadata=wanted.metadata, session=wanted.session)
    match wanted.operation:
        case "add":
            added = await memory.add(
                _given(wanted.content, "content", wanted),
                tags=wanted.tags or (),
                metadata=wanted.metadata,
                origin=origin,
                space=space,
            )
            note = {} if added.new else {"note": "it was remembered already; nothing is added"}
            return {"memory": as_data(added.item), "added": added.new, **note}
        case "search":
            found = await memory.search(
                _given(wanted.query or None, "query", wanted),
                only=only,
                limit=FOUND if wanted.limit is None else wanted.limit,
                space=space,
            )
            return {"memories": [as_data(item) for item in found], **_failure(memory)}
        case "get":
            item = await memory.get(_given(wanted.id or None, "id", wanted), space=space)
            return {"memory": as_data(item)}
        case "update":
            item = await memory.update(
                _given(wanted.id or None, "id", wanted),
                content=wanted.content,
                tags=wanted.tags,
                metadata=wanted.metadata,
                origin=origin,
                expected_revision=wanted.expected_revision,
                space=space,
            )
            return {"memory": as_data(item)}
        case "delete":
            item = await memory.delete(_given(wanted.id or None, "id", wanted), space=space)
            return {"deleted": as_data(item)}
        case "list":
            page = await memory.listed(
                only=only,
                limit=LISTED if wanted.limit is None else wanted.limit,
                after=wanted.after,
                space=space,
            )
            more = {"after": page.next} if page.next else {}
            return {
                "memories": [as_data(item) for item in page.items],
                "total": page.total,
                **more,
            }


def as_data(item: Item) -> dict[str, Any]:
    """Return an item as tools, commands and programs see it; what is empty is left out."""
    facts = {
        "id": item.id,
        "content": item.content,
        "tags": list(item.tags),
        "metadata": dict(item.metadata),
        "revision": item.revision,
        "stored": moment(item.created_at),
        "updated": moment(item.updated_at) if item.revision > 1 else "",
        "from": _known(item.origin),
        "updated_from": _known(item.revised_by) if item.revision > 1 else {},
    }
    return {name: value for name, value in facts.items() if value}


def _known(origin: Origin) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(origin)
    if origin.agent:
        facts.pop("actor", None)  # it says the same
    return facts


def told(items: Sequence[Item], max_chars: int) -> list[dict[str, str]]:
    """Return items as the contract wants them: one quoted line each, with its origin.

    Together they have at most `max_chars` characters; one that does not fit is left out.
    """
    memories: list[dict[str, str]] = []
    left = max_chars
    for item in items:
        cut = item.content[:SHOWN_CHARS]
        more = f"; get {item.id} for all of it" if len(item.content) > SHOWN_CHARS else ""
        # Quoted, so that a remembered text ends where it ends and cannot speak for us.
        quoted = json.dumps(cut, ensure_ascii=False)
        line = f"{quoted} (note {item.id}, {source(item.origin)}, {moment(item.updated_at)}{more})"
        if len(line) <= left:
            memories.append({"id": item.id, "content": line})
            left -= len(line)
    return memories


def source(origin: Origin) -> str:
    """Say where something came from, in a few words."""
    who = origin.agent or origin.actor or "somebody"
    turn = f" turn {origin.turn}" if origin.turn else ""
    return f"stored by {who}" + (f" in session {origin.session}{turn}" if origin.session else "")


def _given(value: str | None, name: str, wanted: MemoryArguments) -> str:
    if value is None:
        raise ArgumentsInvalid(
            f"`{wanted.operation}` needs `{name}`", where=TOOL, fix=f"give `{name}`"
        )
    return value


def _failure(memory: Memory) -> dict[str, str]:
    """Say that meaning did not count, when a model for it is configured and did not answer."""
    failure = memory.meanings.failure
    if failure is None:
        return {}
    return {"note": f"found by words only: {as_object(failure.as_dict()).get('what')}"}
