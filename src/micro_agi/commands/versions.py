"""What `registry` and `tool` say about versions, in one form."""

from collections.abc import Sequence

from micro_agi.commands.output import count, moment, table
from micro_agi.errors import EntryNotFound, InputInvalid
from micro_agi.registry.history import Change, EntryRevision, History, Version

SIGNS = {"entry.create": "+", "entry.update": "~", "entry.delete": "-"}


def change_lines(changes: Sequence[Change]) -> list[str]:
    """Return `+ id`, `~ id`, `- id`: created, updated, deleted."""
    return [f"{SIGNS[c.kind]} {c.entry_id}" for c in changes]


def summary(version: Version) -> str:
    """Say what a version changed, in a few words."""
    lines = change_lines(version.operations)
    if len(lines) <= 2:
        return ", ".join(lines) or "nothing"
    return f"{lines[0]} and {count(len(lines) - 1, 'more change')}"


def versions_table(versions: Sequence[Version], *, width: int | None) -> str:
    """List versions as they are given: number, time, actor, what and why."""
    rows = [
        (str(v), moment(v.at), v.actor, summary(v) + (f" ({v.reason})" if v.reason else ""))
        for v in versions
    ]
    return table(("VERSION", "WHEN", "WHO", "WHAT"), rows, width=width)


def version_json(version: Version) -> dict[str, object]:
    """Return a version as JSON."""
    return {
        "version": version.id,
        "parent": version.parent,
        "at": version.at,
        "actor": version.actor,
        "session": version.session,
        "call_id": version.call_id,
        "turn": version.turn,
        "agent": version.agent,
        "model": version.model,
        "reason": version.reason,
        "report": dict(version.report),
        "hash": version.hash,
        "changes": [
            {"kind": c.kind, "id": c.entry_id, "before": c.before, "after": c.after}
            for c in version.operations
        ],
    }


def revisions(history: History, entry_id: str, *, near: str = "") -> list[EntryRevision]:
    """Return what each version made of an entry, oldest first.

    Raises: EntryNotFound when no version has it.
    """
    found = history.of_entry(entry_id)
    if not found:
        raise EntryNotFound(
            f"no version has an entry `{entry_id}`",
            where=entry_id,
            fix=near or "`micro-agi registry list` shows all entries",
        )
    return found


def pair(found: Sequence[EntryRevision], a: int | None, b: int | None) -> tuple[int, int]:
    """Return the two versions to compare: the newest and the one before it unless given.

    Raises: InputInvalid when there is only one.
    """
    numbers = [revision.version.id for revision in found]
    last = b if b is not None else (a if a is not None and a > numbers[-1] else numbers[-1])
    if a is not None:
        return a, last
    before = [n for n in numbers if n < last]
    if not before:
        raise InputInvalid(f"there is only one version of it: v{numbers[0]}", fix="change it first")
    return before[-1], last
