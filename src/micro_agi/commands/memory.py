"""`memory add|search|list|get|update|delete`: what the tool `local:memory` does, for a person."""

from collections.abc import Mapping, Sequence
from typing import Any

from micro_agi.commands.invocation import Invocation, read_input
from micro_agi.commands.open import open_runtime
from micro_agi.commands.output import count, facts, table, wrapped
from micro_agi.local.memory import TOOL


async def add(invocation: Invocation) -> int:
    """Remember something."""
    args = invocation.args
    answer = await _call(invocation, "add", content=_text(args.text), tags=args.tags)
    if not invocation.as_json:
        _show_one(invocation, answer["memory"])
        if not answer["added"]:
            invocation.note("note: it was remembered already; nothing was added")
    return 0


async def search(invocation: Invocation) -> int:
    """Find memories by their words."""
    args = invocation.args
    answer = await _call(
        invocation, "search", query=" ".join(args.query), tags=args.tags, limit=args.limit
    )
    if not invocation.as_json:
        _show(invocation, answer["memories"], "Nothing that is remembered has these words.")
        if "note" in answer:
            invocation.note(f"note: {answer['note']}")
    return 0


async def list_items(invocation: Invocation) -> int:
    """List memories, newest first."""
    args = invocation.args
    answer = await _call(
        *(invocation, "list"),
        tags=args.tags,
        session=args.session,
        limit=args.limit,
        after=args.after,
    )
    if not invocation.as_json:
        _show(
            invocation,
            answer["memories"],
            "Nothing is remembered yet: `micro-agi memory add TEXT`, or the agent does it.",
        )
        if "after" in answer and answer["total"] > len(answer["memories"]):
            invocation.note(
                f"{count(answer['total'], 'memory', 'memories')} in all; "
                f"--after {answer['after']} goes on"
            )
    return 0


async def get(invocation: Invocation) -> int:
    """Show one memory with its origin."""
    answer = await _call(invocation, "get", id=invocation.args.id)
    if not invocation.as_json:
        _show_one(invocation, answer["memory"])
    return 0


async def update(invocation: Invocation) -> int:
    """Replace the text, the tags, or both."""
    args = invocation.args
    content = _text(args.text) if args.text else None
    answer = await _call(invocation, "update", id=args.id, content=content, tags=args.tags)
    if not invocation.as_json:
        _show_one(invocation, answer["memory"])
    return 0


async def delete(invocation: Invocation) -> int:
    """Forget one memory."""
    answer = await _call(invocation, "delete", id=invocation.args.id)
    if not invocation.as_json:
        gone = answer["deleted"]
        invocation.say(
            wrapped(f"forgotten: {gone['id']}  ", gone["content"], width=invocation.width)
        )
    return 0


async def _call(invocation: Invocation, operation: str, **given: Any) -> dict[str, Any]:
    """Call the tool as the person; with `--json`, its answer is the output."""
    arguments = {name: value for name, value in given.items() if value is not None}
    async with open_runtime(invocation) as rt:
        answer: dict[str, Any] = await rt.functions.call(
            TOOL, [{"operation": operation, **arguments}], rt.root()
        )
    if invocation.as_json:
        invocation.say_json(answer)
    return answer


def _text(words: Sequence[str]) -> str:
    return read_input("-") if list(words) == ["-"] else " ".join(words)


def _show(invocation: Invocation, items: Sequence[Mapping[str, Any]], nothing: str) -> None:
    if not items:
        invocation.say(nothing)
        return
    rows = [(item["id"], _day(item), item["content"]) for item in items]
    invocation.say(table(("ID", "STORED", "MEMORY"), rows, width=invocation.width))


def _day(item: Mapping[str, Any]) -> str:
    return str(item.get("updated") or item["stored"])[:10]


def _show_one(invocation: Invocation, item: Mapping[str, Any]) -> None:
    pairs = [("stored", f"{item['stored']} by {_origin(item['from'])}")]
    if "updated" in item:
        pairs.append(("updated", f"{item['updated']} by {_origin(item['updated_from'])}"))
    pairs.append(("tags", ", ".join(item.get("tags", ()))))
    pairs += [(str(name), str(value)) for name, value in item.get("metadata", {}).items()]
    invocation.say(wrapped(f"{item['id']}  ", item["content"], width=invocation.width))
    invocation.say(facts(pairs, width=invocation.width, indent="  "))


def _origin(origin: Mapping[str, Any]) -> str:
    who = origin.get("agent") or origin.get("actor") or "somebody"
    who = "you" if who == "root" else who
    parts = [f"{name} {origin[key]}" for name, key in _WHERE.items() if origin.get(key)]
    return ", ".join([who, *parts])


_WHERE = {"session": "session", "turn": "turn", "call": "call_id"}
