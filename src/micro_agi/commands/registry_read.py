"""`registry list|show|find|history|diff|verify`: look at entries and their versions."""

import json
from collections.abc import Sequence
from typing import Any

from micro_agi.commands.invocation import Invocation
from micro_agi.commands.open import open_runtime
from micro_agi.commands.output import count, facts, moment, table
from micro_agi.commands.versions import pair, revisions, version_json, versions_table
from micro_agi.errors import EntryNotFound, InputInvalid
from micro_agi.registry.entry import Entry
from micro_agi.registry.history import entry_text


async def list_entries(invocation: Invocation) -> int:
    """List entries, all of them or those of a namespace and a kind."""
    criteria = {"ns": invocation.args.namespace, "kind": invocation.args.kind}
    wanted = {key: value for key, value in criteria.items() if value}
    async with open_runtime(invocation) as rt:
        entries = rt.registry.find(wanted)
        if not entries and invocation.args.namespace:
            spaces = sorted({e.namespace for e in rt.registry.snapshot()})
            invocation.note(f"there are namespaces: {', '.join(spaces)}")
    return _list(invocation, entries)


async def find(invocation: Invocation) -> int:
    """List the entries that meet all criteria."""
    criteria = read_criteria(invocation.args.criteria)
    async with open_runtime(invocation) as rt:
        return _list(invocation, rt.registry.find(criteria))


def read_criteria(words: Sequence[str]) -> dict[str, Any]:
    """Read `KEY=VALUE` words, or one JSON object.

    Values of `meta` fields are JSON where they are JSON; everything else is text.
    Raises: InputInvalid for a word that is neither.
    """
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        found = _json(words[0])
        if not isinstance(found, dict):
            raise InputInvalid(
                "the criteria are not JSON", where=words[0], fix='write {"kind": "…"}'
            )
        return found
    criteria: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise InputInvalid(
                f"`{word}` is no criterion",
                where="registry find",
                fix="write KEY=VALUE, such as meta.type=tool",
            )
        # Only a field of `meta` can be anything but a text.
        decoded = _json(value) if key.startswith("meta.") else None
        criteria[key] = value if decoded is None else decoded
    return criteria


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _list(invocation: Invocation, entries: Sequence[Entry]) -> int:
    if invocation.as_json:
        invocation.say_json(
            [
                {"id": e.id, "kind": e.kind, "revision": e.revision, "meta": dict(e.meta)}
                for e in entries
            ]
        )
    elif not entries:
        invocation.say("No entry matches; `micro-agi registry list` shows all of them.")
    else:
        rows = [(e.id, e.kind, _about(e)) for e in entries]
        invocation.say(table(("ID", "KIND", "ABOUT"), rows, width=invocation.width))
        invocation.note(count(len(entries), "entry", "entries"))
    return 0


def _about(entry: Entry) -> str:
    for key in ("comment", "title", "description"):
        text = entry.meta.get(key)
        if isinstance(text, str) and text:
            return text
    return ""


async def show(invocation: Invocation) -> int:
    """Show one entry, now or as it was at a version."""
    entry_id, at = invocation.args.id, invocation.args.at
    async with open_runtime(invocation) as rt:
        now = at is None
        entry = rt.registry.get(entry_id) if now else rt.registry.history.entry_at(entry_id, at)
        if entry is None:
            raise EntryNotFound(
                f"`{entry_id}` did not exist at version {at}",
                where=entry_id,
                fix=f"`micro-agi registry history {entry_id}` lists its versions",
            )
        if invocation.as_json:
            invocation.say_json({**entry.as_dict(), "revision": entry.revision, "hash": entry.hash})
            return 0
        invocation.say(entry_text(entry).rstrip())
        if entry.revision is not None:
            version = rt.registry.history.version(entry.revision)
            written = f"{version} by {version.actor}, {moment(version.at)}"
            pairs = [("written", written), ("reason", version.reason), ("hash", entry.hash)]
            invocation.say("\n" + facts(pairs, width=invocation.width))
    return 0


async def history(invocation: Invocation) -> int:
    """List versions, the newest first."""
    entry_id, limit = invocation.args.id, invocation.args.limit
    async with open_runtime(invocation) as rt:
        if entry_id:
            near = "" if entry_id in rt.registry.snapshot() else _near(rt.registry, entry_id)
            versions = [r.version for r in revisions(rt.registry.history, entry_id, near=near)]
        else:
            versions = rt.registry.history.versions()
    versions.reverse()
    shown = versions[:limit] if limit > 0 else versions
    if invocation.as_json:
        invocation.say_json([version_json(v) for v in shown])
        return 0
    invocation.say(versions_table(shown, width=invocation.width))
    if len(shown) < len(versions):
        invocation.note(f"{len(versions) - len(shown)} older ones: --limit 0 shows all")
    return 0


def _near(registry: Any, entry_id: str) -> str:
    fix: str = registry.snapshot().not_found(entry_id).fix
    return fix


async def diff(invocation: Invocation) -> int:
    """Compare two versions of an entry."""
    args = invocation.args
    async with open_runtime(invocation) as rt:
        near = "" if args.id in rt.registry.snapshot() else _near(rt.registry, args.id)
        found = revisions(rt.registry.history, args.id, near=near)
        a, b = pair(found, args.a, args.b)
        text = rt.registry.history.diff(args.id, a, b)
    invocation.say(text or f"v{a} and v{b} of `{args.id}` are the same.")
    return 0


async def verify(invocation: Invocation) -> int:
    """Recompute the chain of versions; exit code 1 when it does not hold."""
    async with open_runtime(invocation) as rt:
        broken = rt.registry.history.verify()
        number = rt.registry.version
    if invocation.as_json:
        found = {"version": broken.version, "what": broken.what} if broken else None
        invocation.say_json({"ok": broken is None, "newest": number, "broken": found})
    elif broken is None:
        invocation.say(f"ok: all versions up to v{number} are as they were written")
    else:
        invocation.say(f"broken at v{broken.version}: {broken.what}")
        invocation.note(
            f"fix: what came before v{broken.version} can be trusted; "
            "`micro-agi registry export` saves the entries"
        )
    return 0 if broken is None else 1
