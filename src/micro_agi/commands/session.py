"""`session list|show|resume|export|delete`: past conversations, from their journal."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec

from micro_agi.commands.invocation import Invocation, write_output
from micro_agi.commands.open import open_runtime
from micro_agi.commands.output import count, facts, moment, table
from micro_agi.commands.session_cost import show_cost
from micro_agi.messages import (
    AnyEvent,
    StepFinished,
    ToolCallFinished,
    ToolLoaded,
    TurnFinished,
    TurnStarted,
)
from micro_agi.sessions.conversation import derive
from micro_agi.sessions.cost import costs
from micro_agi.sessions.journal import SessionRow
from micro_agi.sessions.rows import Recorded
from micro_agi.terminal.ask import ask, ask_console
from micro_agi.terminal.wording import loaded_line, remark, spent, tool_line


async def list_sessions(invocation: Invocation) -> int:
    """List sessions, the one used last first."""
    async with open_runtime(invocation) as rt:
        rows = await rt.journal.sessions()
    if invocation.as_json:
        invocation.say_json([_as_json(row) for row in rows])
    elif not rows:
        invocation.say("No sessions yet. `micro-agi` starts one.")
    else:
        lines = [(row.id, moment(row.last_at), str(row.turns), _about(row)) for row in rows]
        invocation.say(table(("SESSION", "LAST", "TURNS", "ABOUT"), lines, width=invocation.width))
        invocation.note("`micro-agi chat --session ID` goes on with one")
    return 0


def _about(row: SessionRow) -> str:
    return f"{row.title} (cut off)" if row.unfinished else row.title


def _as_json(row: SessionRow) -> dict[str, object]:
    return {
        "id": row.id,
        "agent": row.agent,
        "created_at": row.created_at,
        "last_at": row.last_at,
        "turns": row.turns,
        "events": row.events,
        "unfinished": row.unfinished,
        "title": row.title,
    }


async def show(invocation: Invocation) -> int:
    """Show a conversation as the terminal showed it, with what it took."""
    async with open_runtime(invocation) as rt:
        row = await rt.journal.find(invocation.args.id)
        recorded = await rt.journal.read(row.id)
    if invocation.args.cost:
        return show_cost(invocation, costs(recorded))
    if invocation.as_json:
        invocation.say_json([_event_json(r) for r in recorded])
        return 0
    conversation = derive(r.event for r in recorded)
    pairs = [
        ("session", row.id),
        ("agent", row.agent),
        ("began", moment(row.created_at)),
        ("turns", str(row.turns)),
        ("loaded", ", ".join(conversation.loaded)),
        ("took", spent(conversation.usage, conversation.cost_usd or None)),
    ]
    invocation.say(facts(pairs, width=invocation.width))
    for line in transcript([r.event for r in recorded]):
        invocation.say(line)
    return 0


def transcript(events: Sequence[AnyEvent]) -> Iterator[str]:
    """Yield the lines of a conversation: `> ` what was said, tool lines, answers."""
    for event in events:
        match event:
            case TurnStarted():
                yield "\n> " + event.message.text
            case ToolCallFinished():
                yield tool_line(event)
            case ToolLoaded():
                yield loaded_line(event)
            case StepFinished():
                if event.message.text:
                    yield event.message.text
            case TurnFinished() if event.outcome != "answered":
                yield f"  ({event.outcome})"
        if said := remark(event):
            yield said


async def resume(invocation: Invocation) -> int:
    """Go on with the last turn of a session where it was cut off; as `ask` shows a turn.

    Raises: EntryNotFound for an unknown session; InputInvalid when its last turn has ended.
    """
    settings = replace(invocation.settings, session=invocation.args.id)
    console = ask_console(settings, as_json=invocation.as_json)
    async with open_runtime(invocation, console=console) as rt:
        await rt.journal.find(settings.session)
        return await ask(rt, console, settings, None, as_json=invocation.as_json)


async def export(invocation: Invocation) -> int:
    """Write a session's journal: one JSON object a line, with number, time and turn."""
    file = invocation.args.file
    async with open_runtime(invocation) as rt:
        row = await rt.journal.find(invocation.args.id)
        recorded = await rt.journal.read(row.id)
    lines = [msgspec.json.encode(_event_json(r)).decode() + "\n" for r in recorded]
    write_output(file, "".join(lines))
    if file != "-":
        invocation.note(f"wrote {count(len(lines), 'event')} to {file}")
    return 0


async def delete(invocation: Invocation) -> int:
    """Remove sessions with their journals, and stored results that no other one refers to.

    What they wrote to the registry stays. All are looked for before one is removed.
    Raises: EntryNotFound for an unknown session; EntryConflict for one that runs a turn;
        PolicyDenied when nobody confirms it.
    """
    async with open_runtime(invocation) as rt:
        rows = [await rt.journal.find(name) for name in dict.fromkeys(invocation.args.ids)]
        listed = ", ".join(row.id for row in rows)
        invocation.confirm(f"Remove {count(len(rows), 'session')} for good: {listed}?")
        freed = [await rt.journal.delete(row.id) for row in rows]
    if invocation.as_json:
        invocation.say_json({"deleted": [row.id for row in rows], "freed_bytes": sum(freed)})
    else:
        invocation.say(f"removed {count(len(rows), 'session')}, {sum(freed)} bytes of stored texts")
    return 0


def _event_json(recorded: Recorded) -> dict[str, object]:
    return {
        "seq": recorded.seq,
        "at": recorded.at,
        "turn": recorded.turn,
        "event": msgspec.to_builtins(recorded.event),
    }
