"""`undo [N]`: take back what agents' file tools changed, and list what can be taken back."""

from typing import Any

from micro_agi.commands.invocation import Invocation
from micro_agi.commands.open import open_runtime
from micro_agi.commands.output import moment, table
from micro_agi.local.undo import Record, Undo


async def run(invocation: Invocation) -> int:
    """Take back the newest N changes, or list them.

    Raises: EntryNotFound when there are none; EntryConflict for a file changed since.
    """
    args = invocation.args
    async with open_runtime(invocation) as rt:
        undo = Undo(rt.database, user=rt.settings.user)
        root = rt.workspace.root if rt.settings.workspace else None
        if args.listed:
            records = await undo.changes(root=root)
            _list(invocation, records)
            return 0
        done = await undo.undo(args.count, root=root)
    if invocation.as_json:
        invocation.say_json([{"path": u.path, "workspace": u.root, "what": u.what} for u in done])
    else:
        for undone in done:
            invocation.say(f"{undone.what} {undone.path} in {undone.root}")
    return 0


def _list(invocation: Invocation, records: list[Record]) -> None:
    if invocation.as_json:
        invocation.say_json([_facts(record) for record in records])
    elif not records:
        invocation.say("No change of a file can be undone.")
    else:
        rows = [(moment(r.at), r.session or "-", f"{r.did} {r.path} in {r.root}") for r in records]
        invocation.say(table(("WHEN", "SESSION", "CHANGE"), rows, width=invocation.width))


def _facts(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "at": record.at,
        "workspace": record.root,
        "path": record.path,
        "did": record.did,
        "tool": record.tool,
        "session": record.session,
    }
