"""Under which keys an entry is filed, and which of them only one entry may have."""

import re
from collections.abc import Iterator, Mapping

from micro_agi.registry.entry import Entry
from micro_agi.values import parse_id

UNIQUE = {
    "command": "command",
    "variable": "public name of an environment variable",
}
"""Index and what its key is called: two entries may not share one."""


def keys_of(entry: Entry) -> Iterator[str]:
    """Yield `index key` for each index: namespace, kind, type, alias, needs and the unique ones."""
    yield f"namespace {entry.namespace}"
    yield f"kind {entry.kind}"
    kind = entry.meta.get("type")
    if isinstance(kind, str):
        yield f"type {kind}"
        if kind == "tool":
            yield f"alias {alias_key(alias_of(entry))}"
    for needed in needs(entry):
        yield f"needs {needed}"
    if entry.kind == "env.variable":
        yield f"variable {entry.data.get('variable') or entry.id}"
    command = entry.meta.get("command")
    if entry.kind == "process.lua" and isinstance(command, Mapping) and command.get("name"):
        yield f"command {command['name']}"


def alias_of(entry: Entry) -> str:
    """Return the name under which a model sees a tool: its alias, else its own name."""
    alias = entry.meta.get("llm_alias")
    return alias if isinstance(alias, str) and alias else entry.name


def alias_key(alias: str) -> str:
    """Fold what looks alike: `Load-Tool` would be taken for `load_tool`."""
    return re.sub(r"[^a-z0-9]+", "_", alias.casefold())


def needs(entry: Entry) -> tuple[str, ...]:
    """Return the ids that must exist as long as `entry` does.

    Imports of Lua entries, the storage of a variable, the process of a service.
    References without a namespace mean the entry's own.
    """
    names: list[object] = []
    imports = entry.data.get("imports")
    if isinstance(imports, Mapping) and entry.kind.startswith(
        ("function.", "library.", "process.")
    ):
        names.extend(imports.values())
    if entry.kind == "env.variable":
        names.append(entry.data.get("storage"))
    if entry.kind == "process.service":
        names.append(entry.data.get("process"))
    texts = [name for name in names if isinstance(name, str) and name]
    found = (str(parse_id(name, default_namespace=entry.namespace)) for name in texts)
    return tuple(dict.fromkeys(found))
