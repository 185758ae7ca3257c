"""`run list|COMMAND|-x ID`: commands that an app defines.

A command is an entry of kind `process.lua` with `meta.command.name`. The one called `agent`
starts the terminal agent that is built into this runtime; its Lua source does not run.
Other Lua processes are not run by this version, and it says so.

Source: spec/runtime.md 8.1.
"""

from collections.abc import Mapping

from msgspec import Struct

from micro_agi.commands import chat
from micro_agi.commands.invocation import Invocation
from micro_agi.commands.open import open_runtime
from micro_agi.commands.output import table
from micro_agi.errors import EntryNotFound, InputInvalid
from micro_agi.registry.entry import Entry
from micro_agi.registry.snapshot import Snapshot
from micro_agi.values import nearest

AGENT = "agent"
"""Name of the command that is the terminal agent."""


class AppCommand(Struct, frozen=True):
    """A command of an app."""

    name: str
    short: str
    entry: str


async def run(invocation: Invocation) -> int:
    """List commands, or run one."""
    name, entry_id = invocation.args.command, invocation.args.entry
    if entry_id and name:
        invocation.args.arguments.insert(0, name)
    if not entry_id and name in (None, "list"):
        return await _list(invocation)
    async with open_runtime(invocation) as rt:
        snapshot = rt.registry.snapshot()
        found = _by_entry(snapshot, entry_id) if entry_id else _by_name(snapshot, name)
    if found.name != AGENT:
        raise InputInvalid(
            f"command `{found.name or found.entry}` is a Lua process, and those do not run yet",
            where=found.entry,
            fix="`micro-agi run agent` starts the agent; `micro-agi call ID` calls a function",
        )
    if invocation.args.arguments:
        raise InputInvalid(
            f"`{found.name}` takes no arguments",
            where=" ".join(invocation.args.arguments),
            fix="leave them out; `micro-agi ask TEXT` asks one question",
        )
    return await chat.run(invocation)


async def _list(invocation: Invocation) -> int:
    async with open_runtime(invocation) as rt:
        found = commands(rt.registry.snapshot())
    if invocation.as_json:
        invocation.say_json([{"name": c.name, "short": c.short, "entry": c.entry} for c in found])
    elif not found:
        invocation.say(
            "This app has no commands. An entry of kind process.lua with meta.command.name is one."
        )
    else:
        rows = [(c.name, c.entry, c.short) for c in found]
        invocation.say(table(("COMMAND", "ENTRY", "ABOUT"), rows, width=invocation.width))
    return 0


def commands(snapshot: Snapshot) -> list[AppCommand]:
    """Return all commands of an app, ordered by name."""
    found = [_command(e) for e in snapshot.entries() if e.kind.startswith("process.")]
    return sorted((c for c in found if c.name), key=lambda c: c.name)


def _command(entry: Entry) -> AppCommand:
    about = entry.meta.get("command")
    facts = about if isinstance(about, Mapping) else {}
    return AppCommand(str(facts.get("name") or ""), str(facts.get("short") or ""), entry.id)


def _by_name(snapshot: Snapshot, name: str) -> AppCommand:
    known = commands(snapshot)
    for command in known:
        if command.name == name:
            return command
    names = [c.name for c in known]
    near = nearest(name, names) or names
    raise EntryNotFound(
        f'command "{name}" not found',
        where="micro-agi run",
        fix=f"use one of: {', '.join(near)}; `micro-agi run list` lists them"
        if near
        else "this app has no commands",
    )


def _by_entry(snapshot: Snapshot, entry_id: str) -> AppCommand:
    entry = snapshot.get(entry_id)
    if entry.kind.startswith("process."):
        return _command(entry)
    call = f"; `micro-agi call {entry_id}` calls it" if entry.kind.startswith("function.") else ""
    raise InputInvalid(
        f"`{entry_id}` is a `{entry.kind}`, not a command",
        where=entry_id,
        fix=f"`micro-agi run list` lists commands{call}",
    )
