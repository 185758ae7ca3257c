"""Find the tool that a person means, by its name or its entry id, also one that is gone."""

from micro_agi.app import Runtime
from micro_agi.errors import EntryInvalid, EntryNotFound
from micro_agi.registry.entry import Entry
from micro_agi.registry.snapshot import Snapshot
from micro_agi.security.tenancy import GENERATED, is_generated, own
from micro_agi.tools.draft import tests_of
from micro_agi.tools.resolve import visible_name
from micro_agi.values import nearest


def tools(snapshot: Snapshot) -> list[Entry]:
    """Return all tools, ordered by id."""
    return snapshot.find({"meta.type": "tool"})


def find_tool(snapshot: Snapshot, name: str) -> Entry:
    """Return the tool of that name or id.

    Raises: EntryNotFound with the nearest ones; EntryInvalid for an entry that is no tool.
    """
    if name in snapshot:
        entry = snapshot.get(name)
        if entry.meta.get("type") != "tool":
            raise EntryInvalid(
                f"`{name}` is no tool",
                where=f"{name} at meta.type",
                fix=f"`micro-agi registry show {name}` shows what it is",
            )
        return entry
    known = tools(snapshot)
    for entry in known:
        if name in (visible_name(entry), entry.name):
            return entry
    names = [*(visible_name(e) for e in known), *(e.id for e in known)]
    near = nearest(name, names)
    raise EntryNotFound(
        f"there is no tool `{name}`",
        where="registry",
        fix=f"did you mean: {', '.join(near)}" if near else "`micro-agi tool list` lists them",
    )


def tool_id(rt: Runtime, name: str) -> str:
    """Return the id of a tool that is there, or of a generated one that once was.

    Raises: EntryNotFound with the nearest ones.
    """
    try:
        return find_tool(rt.registry.snapshot(), name).id
    except EntryNotFound:
        entry_id = name if ":" in name else f"{own(GENERATED, rt.settings.user)}:{name}"
        if rt.registry.history.of_entry(entry_id):
            return entry_id
        raise


def disabled_tools(rt: Runtime) -> list[str]:
    """Return ids of generated tools that were there and were taken out of use."""
    snapshot = rt.registry.snapshot()
    written = {
        change.entry_id
        for version in rt.registry.history.versions()
        for change in version.operations
        if is_generated(change.entry_id.partition(":")[0])
    }
    return sorted(entry_id for entry_id in written if entry_id not in snapshot)


def tests_text(rt: Runtime, entry: Entry) -> str:
    """Say how well a tool is tested: a number, `untested`, or nothing for the operator's own."""
    number = len(tests_of(entry))
    if number:
        return str(number)
    return "" if rt.registry.is_operators(entry.namespace) else "untested"
