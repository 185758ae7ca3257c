"""One tool on one page: what it is, who made it, what it may do, how it is tested."""

import datetime
from collections.abc import Sequence

from msgspec import Struct

from micro_agi.errors import MicroAgiError
from micro_agi.registry.entry import Entry
from micro_agi.registry.history import EntryRevision
from micro_agi.registry.registry import Registry
from micro_agi.terminal.text import counted, first_line
from micro_agi.tools.approve import declared_hosts
from micro_agi.tools.draft import tests_of
from micro_agi.tools.effects import MEANING, effect_class
from micro_agi.tools.resolve import tool_spec
from micro_agi.values import as_object

VERSIONS = 5
"""The newest that are listed."""


class Card(Struct, frozen=True, kw_only=True):
    """What there is to show of a tool."""

    facts: str
    source: str
    """"" for a tool that is not written in a source of its own."""
    language: str


def tool_card(registry: Registry, entry: Entry) -> Card:
    """Collect what the registry knows about a tool."""
    spec = tool_spec(entry)
    effects = effect_class(entry, operators=registry.is_operators(entry.namespace))
    revisions = registry.history.of_entry(entry.id)
    named = "" if spec.name == entry.name else f", called {spec.name}"
    lines = [
        f"  {entry.id}{named}",
        f"  {first_line(spec.description)}",
        _row("takes", ", ".join(spec.schema.get("properties") or ()) or "nothing"),
        _row("uses", ", ".join(entry.data.get("modules") or ()) or "no modules"),
        _row("effects", f"{effects}: {MEANING[effects]}"),
        *(_row("asks for", pattern) for pattern in _hosts(entry)),
        *(_row("granted", text) for text in _grants(registry, entry)),
        _row("tests", _tests(registry, entry, revisions)),
        *_versions(revisions),
    ]
    source = entry.data.get("source")
    language = entry.kind.rpartition(".")[2]
    return Card(
        facts="\n".join(lines),
        source=source if isinstance(source, str) else "",
        language=language,
    )


def _row(name: str, text: str) -> str:
    return f"  {name:<9} {text}"


def _hosts(entry: Entry) -> Sequence[str]:
    try:
        return declared_hosts(entry)
    except MicroAgiError as error:
        return [first_line(error.what)]


def _grants(registry: Registry, entry: Entry) -> list[str]:
    """Return what a person allowed always; grants of an older version do not count any more."""
    found = []
    for grant in registry.find({"kind": "security.policy", "meta.tool": entry.id}):
        # A private address has a second part, which says nothing new to a person.
        if grant.meta.get("part"):
            continue
        policy = as_object(grant.data.get("policy"))
        hashes = [c["value"] for c in policy["conditions"] if c["field"] == "meta.tool_hash"]
        stale = "" if hashes == [entry.hash] else " (to an older version)"
        found.append(f"{', '.join(policy['resources'])} for {grant.meta.get('agent')}{stale}")
    return found


def _tests(registry: Registry, entry: Entry, revisions: Sequence[EntryRevision]) -> str:
    own = len(tests_of(entry))
    report = revisions[-1].version.report.get("tests") if revisions else None
    if isinstance(report, dict) and report.get("passed"):
        return (
            f"{counted(report['passed'], 'test')} passed when version {entry.revision} was written"
        )
    if own:
        return counted(own, "test")
    return "none: it came with the app" if registry.is_operators(entry.namespace) else "none"


def _versions(revisions: Sequence[EntryRevision]) -> list[str]:
    rows = []
    for revision in reversed(revisions[-VERSIONS:]):
        version = revision.version
        day = datetime.datetime.fromtimestamp(version.at).strftime("%Y-%m-%d %H:%M")
        did = "" if revision.entry is not None else ", taken out of use"
        rows.append(_row("version", f"{version.id}  {day}  by {version.actor}{did}"))
    more = len(revisions) - VERSIONS
    return [*rows, *([_row("", f"and {more} older")] if more > 0 else [])]
