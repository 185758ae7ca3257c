"""`session list|show|export`: past conversations, from their journal."""

from collections.abc import Sequence

import msgspec

from micro_agi.commands.invocation import Invocation, write_output
from micro_agi.commands.open import open_runtime
from micro_agi.commands.output import count, facts, moment, shorten, table
from micro_agi.messages import (
    AnyEvent,
    Compacted,
    StepFinished,
    ToolCallFinished,
    ToolLoaded,
    TurnFinished,
    TurnStarted,
)
from micro_agi.sessions.conversation import derive
from micro_agi.sessions.journal import Recorded, SessionRow
from micro_agi.terminal.wording import loaded_line, remark, spent, tool_line


async def list_sessions(invocation: Invocation) -> int:
    """List sessions, the one used last first."""
    async with open_runtime(invocation) as rt:
        rows = await rt.journal.sessions()
        titles = [await _title(rt.journal.read, row) for row in rows[:200]]
    if invocation.as_json:
        invocation.say_json(
            [
                {
                    "id": r.id,
                    "agent": r.agent,
                    "created_at": r.created_at,
                    "last_at": r.last_at,
                    "turns": r.turns,
                    "events": r.events,
                    "title": title,
                }
                for r, title in zip(rows, titles, strict=False)
            ]
        )
    elif not rows:
        invocation.say("No sessions yet. `micro-agi` starts one.")
    else:
        lines = [
            (r.id, moment(r.last_at), str(r.turns), title)
            for r, title in zip(rows, titles, strict=False)
        ]
        invocation.say(table(("SESSION", "LAST", "TURNS", "ABOUT"), lines, width=invocation.width))
        invocation.note("`micro-agi chat --session ID` goes on with one")
    return 0
