"""`tool test|rollback|disable|create`: try a tool again, undo it, or bring one in from a file."""

import re

from micro_agi.app import Runtime
from micro_agi.commands.draft_file import read_draft, shown_name
from micro_agi.commands.invocation import Invocation
from micro_agi.commands.open import open_runtime
from micro_agi.commands.output import count
from micro_agi.commands.registry_write import report
from micro_agi.commands.tool_names import find_tool, tool_id, tools
from micro_agi.commands.versions import revisions
from micro_agi.errors import DraftRefused, InputInvalid
from micro_agi.registry.entry import Entry
from micro_agi.security.tenancy import GENERATED
from micro_agi.tools.create import Created
from micro_agi.tools.draft import parse_draft, tests_of
from micro_agi.tools.resolve import visible_name


async def test(invocation: Invocation) -> int:
    """Run the stored tests of one tool, or of all, in the sandbox; exit code 1 if one fails."""
    async with open_runtime(invocation) as rt:
        snapshot = rt.registry.snapshot()
        if invocation.args.name:
            chosen = [find_tool(snapshot, invocation.args.name)]
        else:
            chosen = [entry for entry in tools(snapshot) if tests_of(entry)]
        results = [(entry, await _failures(rt, entry)) for entry in chosen]
    if invocation.as_json:
        invocation.say_json(
            [{"id": e.id, "tests": len(tests_of(e)), "failures": f} for e, f in results]
        )
    elif not results:
        invocation.say("No tool has tests. `micro-agi tool show NAME` shows a tool's source.")
    else:
        for entry, failures in results:
            _say_result(invocation, entry, failures)
    return 1 if any(failures for _, failures in results) else 0


async def _failures(rt: Runtime, entry: Entry) -> list[str]:
    tests = tests_of(entry)
    if not tests:
        return []
    unit = rt.functions.unit(entry, rt.registry.snapshot())
    return await rt.gate.run_tests(unit, tests, rt.root())


def _say_result(invocation: Invocation, entry: Entry, failures: list[str]) -> None:
    number = len(tests_of(entry))
    if not number:
        invocation.say(f"none  {entry.id}: it has no tests")
    elif not failures:
        invocation.say(f"ok    {entry.id}: {count(number, 'test')} passed")
    else:
        invocation.say(f"FAIL  {entry.id}: {len(failures)} of {count(number, 'test')} failed")
        for failure in failures:
            invocation.say(f"      {failure}")


async def rollback(invocation: Invocation) -> int:
    """Restore an older version of a tool; by default the one before the newest."""
    async with open_runtime(invocation) as rt:
        entry_id = tool_id(rt, invocation.args.name)
        numbers = [r.version.id for r in revisions(rt.registry.history, entry_id)]
        to = invocation.args.to
        if to is None and len(numbers) < 2:
            raise InputInvalid(
                f"`{entry_id}` has only one version",
                where=f"v{numbers[0]}",
                fix=f"`micro-agi tool disable {invocation.args.name}` takes it out of use",
            )
        to = numbers[-2] if to is None else to
        change = rt.registry.history.diff(entry_id, rt.registry.version, to)
        if not change:
            invocation.note(f"`{entry_id}` is already as it was at v{to}: nothing to do")
            return 0
        invocation.note(change)
        invocation.confirm(f"Restore `{entry_id}` as at v{to}?")
        reason = invocation.args.reason or f"tool rollback to v{to}"
        version = await rt.registry.rollback(entry_id, to=to, context=rt.root(), reason=reason)
    return report(invocation, version)


async def disable(invocation: Invocation) -> int:
    """Delete a tool's entry; its versions stay, and a rollback brings it back."""
    async with open_runtime(invocation) as rt:
        entry = find_tool(rt.registry.snapshot(), invocation.args.name)
        if rt.registry.is_operators(entry.namespace):
            raise InputInvalid(
                f"`{entry.id}` comes from the app's files",
                where=entry.id,
                fix="remove it from the app's index file, or from the agent's `tools`",
            )
        changes = rt.registry.snapshot().changes()
        changes.delete(entry.id)
        version = await changes.apply(
            rt.root(),
            reason=invocation.args.reason or "tool disable",
            expected={entry.id: entry.revision},
        )
    report(invocation, version)
    name = visible_name(entry)
    invocation.note(f"its history stays: `micro-agi tool rollback {name}` brings it back")
    return 0


async def create(invocation: Invocation) -> int:
    """Take a file through the gate, as the agent's own drafts go."""
    file = invocation.args.file
    value, line = read_draft(file)
    revision = invocation.args.expected_revision
    if isinstance(value, dict) and revision is not None:
        value = {**value, "expected_revision": revision}
    shown = shown_name(file)
    try:
        draft = parse_draft(value)
        async with open_runtime(invocation) as rt:
            created = await rt.create_tool(draft, reason=f"tool create {shown}")
    except DraftRefused as error:
        raise DraftRefused(
            _lines_of_file(error.what, shown, line),
            where=_lines_of_file(f"{error.where}, {shown}", shown, line),
            fix=error.fix,
        ) from error
    say_created(invocation, created)
    return 0


def _lines_of_file(text: str, shown: str, first: int) -> str:
    """Replace the gate's line numbers, which count the source, by those of a Lua file.

    `first` is the file's line where the source begins, 0 when it is no Lua file.
    """
    if not first:
        return text
    at_place = re.sub(
        rf"{GENERATED}[.\w]*:\w+:(\d+)", lambda m: f"{shown}:{int(m[1]) + first - 1}", text
    )
    return re.sub(r"\bline (\d+):", lambda m: f"line {int(m[1]) + first - 1}:", at_place)


def say_created(invocation: Invocation, created: Created) -> None:
    """Say what the gate did."""
    if invocation.as_json:
        invocation.say_json(
            {
                "id": created.id,
                "version": created.version,
                "updated": created.updated,
                "unchanged": created.unchanged,
                "report": dict(created.report),
            }
        )
        return
    did = "unchanged" if created.unchanged else "updated" if created.updated else "created"
    passed = created.report["tests"]["passed"]
    tests = f"{count(passed, 'test')} passed" if passed else "untested: it came without tests"
    invocation.say(f"{did} {created.id} (v{created.version}, {tests})")
