"""From references in an agent's definition to tools as a model sees them.

A reference is an entry id, `namespace:*`, or a map with `id`, `alias`, `description`,
`context`. What does not resolve is a warning with the nearest names, never an error: one
bad reference must not take an agent down.

Source: spec/agent.md 1.3, 1.5.3. Deviation: of two tools with one visible name the first
stays and a warning says so (DESIGN 10).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from micro_agi.errors import EntryInvalid, EntryNotFound
from micro_agi.messages import ToolSpec, Warned
from micro_agi.registry.entry import Entry
from micro_agi.registry.snapshot import Snapshot
from micro_agi.values import nearest

EMPTY_SCHEMA: Mapping[str, Any] = {"type": "object", "properties": {}}
MODEL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One item of an agent's `tools`."""

    id: str
    alias: str = ""
    description: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    """Of the arguments, instead of the entry's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Tools in the order of their references, unique by name, and what did not resolve."""

    tools: tuple[ToolSpec, ...] = ()
    warnings: tuple[Warned, ...] = ()


def parse_reference(value: Any) -> Reference:
    """Read one item of a `tools` list.

    Raises: EntryInvalid when it is neither an id nor a map with one.
    """
    if isinstance(value, str) and value:
        return Reference(id=value)
    if isinstance(value, Mapping) and isinstance(value.get("id"), str) and value["id"]:
        context, schema = value.get("context"), value.get("schema")
        return Reference(
            id=value["id"],
            alias=str(value.get("alias") or ""),
            description=str(value.get("description") or ""),
            context=context if isinstance(context, Mapping) else {},
            schema=schema if isinstance(schema, Mapping) else None,
        )
    raise EntryInvalid(
        f"`{value!r}` is no tool reference", where="tools", fix="write an id, or a map with `id`"
    )


def visible_name(entry: Entry) -> str:
    """Return the name a model sees: the alias as it is, else the last part of the id, sanitised."""
    alias = entry.meta.get("llm_alias")
    if isinstance(alias, str) and alias:
        return alias
    return sanitise(entry.id.rpartition(":")[2])


def sanitise(name: str) -> str:
    """Turn a name into `snake_case` of letters, digits and underscores.

    >>> sanitise("HTTPGet"), sanitise("my.tool"), sanitise("Foo Bar")
    ('h_t_t_p_get', 'my_tool', 'foo_bar')
    """
    plain = re.sub(r"[^A-Za-z0-9]", "_", name)
    lower = re.sub(r"[A-Z]", lambda m: "_" + m.group().lower(), plain)
    collapsed = re.sub(r"_+", "_", lower)
    return collapsed.removeprefix("_")


def tool_spec(entry: Entry, reference: Reference | None = None) -> ToolSpec:
    """Return a tool entry as the model sees it.

    Raises: EntryInvalid when it is no tool, or its schema or name cannot be sent to a model.
    """
    wanted = reference or Reference(id=entry.id)
    if entry.meta.get("type") != "tool":
        raise EntryInvalid(
            f"`{entry.id}` is not a tool (meta.type != 'tool')",
            where=entry.id,
            fix="name an entry whose meta.type is `tool`",
        )
    name = wanted.alias or visible_name(entry)
    if not MODEL_NAME.fullmatch(name):
        raise EntryInvalid(
            f"a model cannot call a tool named `{name}`",
            where=f"{entry.id} at meta.llm_alias",
            fix="use 1 to 64 letters, digits, `_` or `-`",
        )
    return ToolSpec(
        id=entry.id,
        name=name,
        description=wanted.description or _description(entry),
        schema=input_schema(entry) if wanted.schema is None else dict(wanted.schema),
        context=dict(wanted.context),
        exclusive=entry.meta.get("exclusive") is True,
    )


def _description(entry: Entry) -> str:
    for key in ("llm_description", "description", "comment"):
        value = entry.meta.get(key)
        if isinstance(value, str) and value:
            return value
    return ""


def input_schema(entry: Entry) -> dict[str, Any]:
    """Return the JSON Schema of a tool's arguments; an object schema when it has none.

    Raises: EntryInvalid when it is text that is not JSON, or no object.
    """
    raw = entry.meta.get("input_schema")
    if raw is None or raw == "":
        return dict(EMPTY_SCHEMA)
    schema: Any = raw
    if isinstance(raw, str):
        try:
            schema = msgspec.json.decode(raw)
        except msgspec.DecodeError as error:
            raise _bad_schema(entry, f"is not JSON: {error}") from error
    if not isinstance(schema, Mapping):
        raise _bad_schema(entry, "is not an object")
    # An empty table from Lua and an absent map both mean "no properties".
    properties = schema.get("properties") or {}
    return {**schema, "type": schema.get("type") or "object", "properties": properties}


def _bad_schema(entry: Entry, why: str) -> EntryInvalid:
    return EntryInvalid(
        f"the input schema of `{entry.id}` {why}",
        where=f"{entry.id} at meta.input_schema",
        fix="write a JSON Schema with type `object`",
    )


def resolve(
    snapshot: Snapshot, references: Iterable[Any], *, taken: Sequence[ToolSpec] = ()
) -> Resolved:
    """Resolve references in order; `taken` are tools whose names are not free any more."""
    tools: list[ToolSpec] = []
    warnings: list[Warned] = []
    by_name = {t.name: t.id for t in taken}
    for item in references:
        try:
            reference = parse_reference(item)
            entries = _entries(snapshot, reference)
        except (EntryInvalid, EntryNotFound) as error:
            warnings.append(Warned(text=error.what, where=error.where, fix=error.fix))
            continue
        for entry in entries:
            try:
                spec = tool_spec(entry, reference)
            except EntryInvalid as error:
                warnings.append(Warned(text=error.what, where=error.where, fix=error.fix))
                continue
            holder = by_name.setdefault(spec.name, spec.id)
            if holder == spec.id and all(t.id != spec.id for t in (*taken, *tools)):
                tools.append(spec)
            elif holder != spec.id:
                warnings.append(
                    Warned(
                        text=f"two tools are called `{spec.name}`; `{holder}` stays",
                        where=spec.id,
                        fix="give one of them another meta.llm_alias",
                    )
                )
    return Resolved(tools=tuple(tools), warnings=tuple(warnings))


def _entries(snapshot: Snapshot, reference: Reference) -> list[Entry]:
    namespace, colon, name = reference.id.partition(":")
    if not (colon and name == "*"):
        return [snapshot.get(reference.id)]
    found = [
        e
        for e in snapshot.namespace(namespace)
        if e.kind.startswith("function.") and e.meta.get("type") == "tool"
    ]
    if not found:
        spaces = {e.namespace for e in snapshot.find({"meta.type": "tool"})}
        near = ", ".join(nearest(namespace, spaces) or sorted(spaces))
        raise EntryNotFound(
            f"no tools in namespace `{namespace}`", where=reference.id, fix=f"there are: {near}"
        )
    return sorted(found, key=visible_name)
