"""`registry rollback|apply|export|import`: change entries, through the same door as anybody.

All of these act as root: they are the person's own. The door still refuses what nobody
may write.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from micro_agi.app import Runtime
from micro_agi.commands.draft_file import read_document, shown_name
from micro_agi.commands.invocation import Invocation, write_output
from micro_agi.commands.open import open_runtime
from micro_agi.commands.output import count
from micro_agi.commands.versions import change_lines, version_json
from micro_agi.errors import EntryInvalid, InputInvalid
from micro_agi.registry.changes import Changes
from micro_agi.registry.door import BUILT_IN
from micro_agi.registry.entry import Entry, from_dict
from micro_agi.registry.history import Version
from micro_agi.registry.yaml import Document
from micro_agi.security.tenancy import is_persons
from micro_agi.values import nearest

FORMAT = "micro-agi/entries/1"
"""Of an export; a later shape gets another number."""
OPERATIONS = ("create", "update", "delete")
ITEM_KEYS = ("op", "entry", "expected_revision")


async def rollback(invocation: Invocation) -> int:
    """Restore one entry, or all, to what they were at a version; asks first."""
    entry_id, to = invocation.args.id, invocation.args.to
    async with open_runtime(invocation) as rt:
        await rt.registry.refresh()
        rt.registry.history.version(to)
        if entry_id:
            restorable(rt, entry_id)
        lines = list(_differences(rt, to, entry_id))
        if not lines:
            invocation.note(f"nothing differs from v{to}: nothing to do")
            return 0
        _preview(invocation, lines)
        invocation.confirm(f"Restore {count(len(lines), 'entry', 'entries')} as at v{to}?")
        version = await rt.registry.rollback(
            entry_id, to=to, context=rt.root(), reason=invocation.args.reason
        )
    return report(invocation, version)


def restorable(rt: Runtime, entry_id: str) -> None:
    """Return quietly if an entry exists or once existed.

    Raises: EntryNotFound with the nearest ids.
    """
    snapshot = rt.registry.snapshot()
    if entry_id not in snapshot and not rt.registry.history.of_entry(entry_id):
        raise snapshot.not_found(entry_id)


def _namespace_stays(namespace: str) -> bool:
    return namespace == BUILT_IN or is_persons(namespace)


def _differences(rt: Runtime, to: int, entry_id: str | None) -> Iterator[str]:
    """Yield what going back to version `to` will do: `+ id`, `~ id`, `- id`."""
    then = {e.id: e for e in rt.registry.history.entries_at(to)}
    now = {e.id: e for e in rt.registry.snapshot()}
    for each in sorted(then.keys() | now.keys()) if entry_id is None else [entry_id]:
        before, after = now.get(each), then.get(each)
        kept = any(
            e and e.kind.startswith(("security.", "function.native")) for e in (before, after)
        )
        if entry_id is None and (kept or _namespace_stays(each.partition(":")[0])):
            continue  # a rollback of everything leaves these as they are
        if before is None and after is not None:
            yield f"+ {each}"
        elif before is not None and after is None:
            yield f"- {each}"
        elif before is not None and after is not None and before.hash != after.hash:
            yield f"~ {each}"


def _preview(invocation: Invocation, lines: Sequence[str]) -> None:
    shown = lines[:40]
    for line in shown:
        invocation.note(f"  {line}")
    if len(lines) > len(shown):
        invocation.note(f"  and {len(lines) - len(shown)} more")


def report(invocation: Invocation, version: Version) -> int:
    """Say what was written: the version and its changes."""
    if invocation.as_json:
        invocation.say_json(version_json(version))
        return 0
    invocation.say(f"wrote {version}")
    for line in change_lines(version.operations):
        invocation.say(f"  {line}")
    return 0


async def apply(invocation: Invocation) -> int:
    """Apply a change set from a file, all of it or nothing."""
    file = invocation.args.file
    document = read_document(file)
    async with open_runtime(invocation) as rt:
        changes = rt.registry.snapshot().changes()
        expected = _read_changes(document, changes)
        reason = invocation.args.reason or f"registry apply {shown_name(file)}"
        version = await changes.apply(rt.root(), reason=reason, expected=expected)
    return report(invocation, version)


def _read_changes(document: Document, changes: Changes) -> dict[str, int | None]:
    """Fill a builder from a document; return the revisions it expects.

    Raises: InputInvalid or EntryInvalid with file, line and key.
    """
    items = document.value
    if not isinstance(items, list) or not items:
        raise _wrong(document, (), "the file must be a list of changes")
    expected: dict[str, int | None] = {}
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            raise _wrong(document, (number,), "a change must be a map")
        unknown = [key for key in item if key not in ITEM_KEYS]
        if unknown:
            raise _wrong(document, (number, unknown[0]), f"unknown key `{unknown[0]}`")
        op = item.get("op")
        if op not in OPERATIONS:
            near = nearest(str(op), OPERATIONS) or OPERATIONS
            raise InputInvalid(
                f"`{op}` is no operation" if op else "`op` is missing",
                where=document.where((number, "op")),
                fix=f"write one of: {', '.join(near)}",
            )
        entry_id = _add(document, changes, number, item)
        if "expected_revision" in item:
            expected[entry_id] = item["expected_revision"]
    return expected


def _add(document: Document, changes: Changes, number: int, item: Mapping[str, Any]) -> str:
    entry = item.get("entry")
    try:
        match item["op"]:
            case "create":
                changes.create(entry if isinstance(entry, dict) else {})
            case "update":
                changes.update(entry if isinstance(entry, dict) else {})
            case _:
                changes.delete(entry["id"] if isinstance(entry, dict) and "id" in entry else entry)  # type: ignore[arg-type]  # `delete` checks what it gets
    except EntryInvalid as error:
        raise EntryInvalid(
            error.what,
            where=document.where((number, "entry")),
            fix=error.fix or "write entry: {id: …, kind: …, meta: …, data: …}",
        ) from error
    return changes.ops()[-1].entry_id


def _wrong(document: Document, path: tuple[str | int, ...], what: str) -> InputInvalid:
    return InputInvalid(
        what,
        where=document.where(path),
        fix="write a list of {op: create|update|delete, entry: {id, kind, meta, data}}",
    )


async def export(invocation: Invocation) -> int:
    """Write all entries, or those of a namespace, as JSON that `import` reads."""
    async with open_runtime(invocation) as rt:
        wanted = {"ns": invocation.args.namespace} if invocation.args.namespace else {}
        entries = [e for e in rt.registry.find(wanted) if e.namespace != BUILT_IN]
        value = {
            "format": FORMAT,
            "version": rt.registry.version,
            "entries": [e.as_dict() for e in entries],
        }
    file = invocation.args.file
    write_output(file, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    if file != "-":
        invocation.note(f"wrote {count(len(entries), 'entry', 'entries')} to {Path(file)}")
    return 0


async def import_entries(invocation: Invocation) -> int:
    """Create and update what an export holds; asks first, and leaves everything else alone."""
    file = invocation.args.file
    entries = _read_export(read_document(file))
    async with open_runtime(invocation) as rt:
        snapshot = rt.registry.snapshot()
        changes = snapshot.changes()
        lines = []
        for entry in entries:
            if entry.id not in snapshot:
                changes.create(entry)
                lines.append(f"+ {entry.id}")
            elif snapshot.get(entry.id).hash != entry.hash:
                changes.update(entry)
                lines.append(f"~ {entry.id}")
        if not lines:
            invocation.note("every entry of the file is in the registry already: nothing to do")
            return 0
        _preview(invocation, lines)
        invocation.confirm(
            f"Write {count(len(lines), 'entry', 'entries')} from {shown_name(file)}?"
        )
        reason = invocation.args.reason or f"registry import {shown_name(file)}"
        version = await changes.apply(rt.root(), reason=reason)
    return report(invocation, version)


def _read_export(document: Document) -> list[Entry]:
    value = document.value
    entries = value.get("entries") if isinstance(value, dict) else None
    if (
        not isinstance(value, dict)
        or value.get("format") != FORMAT
        or not isinstance(entries, list)
    ):
        raise InputInvalid(
            f"this is no export: `format` is not `{FORMAT}`",
            where=document.where(()),
            fix="`micro-agi registry export FILE` writes one; `registry apply` reads change sets",
        )
    found = []
    for number, item in enumerate(entries):
        try:
            found.append(from_dict(item))
        except EntryInvalid as error:
            where = document.where(("entries", number))
            raise EntryInvalid(
                error.what, where=f"{where} at entries[{number}]", fix=error.fix
            ) from error
    return found
