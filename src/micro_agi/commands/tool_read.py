"""`tool list|show|history|diff`: what tools there are, where they come from, how they changed."""

import re

from micro_agi.app import Runtime
from micro_agi.commands.invocation import Invocation
from micro_agi.commands.open import open_runtime
from micro_agi.commands.output import count, facts, moment, table
from micro_agi.commands.tool_names import disabled_tools, find_tool, tests_text, tool_id, tools
from micro_agi.commands.versions import pair, revisions, version_json
from micro_agi.errors import EntryNotFound
from micro_agi.registry.entry import Entry
from micro_agi.registry.history import EntryRevision
from micro_agi.tools.approve import declared_hosts
from micro_agi.tools.draft import tests_of
from micro_agi.tools.effects import MEANING, EffectClass, effect_class, modules_of
from micro_agi.tools.functions import imports_of
from micro_agi.tools.resolve import tool_spec, visible_name
from micro_agi.values import canonical_json


async def list_tools(invocation: Invocation) -> int:
    """List tools, and name those that were disabled."""
    async with open_runtime(invocation) as rt:
        found, gone = tools(rt.registry.snapshot()), disabled_tools(rt)
        rows = [_row(rt, entry) for entry in found]
    if invocation.as_json:
        invocation.say_json(
            [
                {
                    "name": visible_name(e),
                    "id": e.id,
                    "version": e.revision,
                    "tests": len(tests_of(e)),
                    "effects": effects_of(rt, e),
                    "description": _about(e),
                    "hash": e.hash,
                }
                for e in found
            ]
        )
        return 0
    if not rows:
        invocation.say("No tools yet. Ask the agent for something it cannot do: `micro-agi`")
    else:
        invocation.say(
            table(("TOOL", "VERSION", "TESTS", "EFFECTS", "ABOUT"), rows, width=invocation.width)
        )
    if gone:
        invocation.note(
            f"{count(len(gone), 'disabled tool')}: {', '.join(gone)}; "
            "`micro-agi tool rollback NAME` brings one back"
        )
    return 0


def effects_of(rt: Runtime, entry: Entry) -> EffectClass:
    """Return the class of a tool's effects."""
    return effect_class(entry, operators=rt.registry.is_operators(entry.namespace))


def _row(rt: Runtime, entry: Entry) -> tuple[str, ...]:
    name = visible_name(entry)
    shown = entry.id if name == entry.name else f"{entry.id} as {name}"
    version = f"v{entry.revision}" if entry.revision is not None else ""
    tests = tests_text(rt, entry) or "-"
    return shown, version, tests, effects_of(rt, entry), first_sentence(_about(entry))


def first_sentence(text: str) -> str:
    """Return the first sentence, without its full stop: a listing is no manual."""
    return re.split(r"\.(?:\s|$)", text, maxsplit=1)[0]


def _about(entry: Entry) -> str:
    return str(entry.meta.get("llm_description") or entry.meta.get("comment") or "")


async def show(invocation: Invocation) -> int:
    """Show a tool: what the model sees, what it may use, who made it, its source."""
    async with open_runtime(invocation) as rt:
        entry = _existing(rt, invocation.args.name)
        version = None
        if entry.revision is not None:
            version = rt.registry.history.version(entry.revision)
        tests = tests_text(rt, entry)
        effects = effects_of(rt, entry)
    if invocation.as_json:
        written = version_json(version) if version else None
        invocation.say_json(
            {**entry.as_dict(), "hash": entry.hash, "effects": effects, "version": written}
        )
        return 0
    spec = tool_spec(entry)
    made = ""
    if version is not None:
        by = version.actor + (f" with {version.model}" if version.model else "")
        made = f"{version} by {by}, {moment(version.at)}"
    pairs = [
        ("tool", entry.id),
        ("name", spec.name),
        ("about", spec.description),
        ("kind", entry.kind),
        ("modules", ", ".join(modules_of(entry)) or "none"),
        ("hosts", ", ".join(declared_hosts(entry))),
        ("imports", ", ".join(f"{name} = {target}" for name, target in imports_of(entry).items())),
        ("tests", tests),
        ("effects", f"{effects}: {MEANING[effects]}"),
        ("written", made),
        ("session", version.session if version else ""),
        ("reason", version.reason if version else ""),
        ("hash", entry.hash),
        ("schema", canonical_json(spec.schema).decode()),
    ]
    invocation.say(facts(pairs, width=invocation.width))
    source = entry.data.get("source")
    if isinstance(source, str):
        invocation.say("\n" + source.rstrip("\n"))
    return 0


def _existing(rt: Runtime, name: str) -> Entry:
    """Return a tool that is in use; one that was disabled says how to get it back."""
    try:
        return find_tool(rt.registry.snapshot(), name)
    except EntryNotFound as error:
        gone = [
            entry_id
            for entry_id in disabled_tools(rt)
            if name in (entry_id, entry_id.partition(":")[2])
        ]
        if not gone:
            raise
        raise EntryNotFound(
            f"`{gone[0]}` is disabled",
            where=gone[0],
            fix=f"`micro-agi tool rollback {name}` brings it back",
        ) from error


async def history(invocation: Invocation) -> int:
    """List a tool's versions, the newest first, with who made them and how they were tested."""
    async with open_runtime(invocation) as rt:
        entry_id = tool_id(rt, invocation.args.name)
        found = revisions(rt.registry.history, entry_id)
    found.reverse()
    if invocation.as_json:
        invocation.say_json([{**version_json(r.version), "content_hash": r.hash} for r in found])
        return 0
    rows = [
        (str(r.version), moment(r.version.at), r.version.actor, _what(r) + _reason(r))
        for r in found
    ]
    invocation.say(table(("VERSION", "WHEN", "WHO", "WHAT"), rows, width=invocation.width))
    return 0


def _what(revision: EntryRevision) -> str:
    if revision.entry is None:
        return "disabled"
    tests = revision.version.report.get("tests")
    passed = tests.get("passed") if isinstance(tests, dict) else None
    if passed is None:
        return "written"
    return f"{count(passed, 'test')} passed" if passed else "untested"


def _reason(revision: EntryRevision) -> str:
    return f" ({revision.version.reason})" if revision.version.reason else ""


async def diff(invocation: Invocation) -> int:
    """Compare two versions of a tool."""
    args = invocation.args
    async with open_runtime(invocation) as rt:
        entry_id = tool_id(rt, args.name)
        a, b = pair(revisions(rt.registry.history, entry_id), args.a, args.b)
        text = rt.registry.history.diff(entry_id, a, b)
    invocation.say(text or f"v{a} and v{b} of `{entry_id}` are the same.")
    return 0
