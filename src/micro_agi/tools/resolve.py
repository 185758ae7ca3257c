"""From references in an agent's definition to tools as a model sees them.

A reference is an entry id, `namespace:*`, or a map with `id`, `alias`, `description`,
`context`, `schema`. What does not resolve is a warning with the nearest names, never an error: one
bad reference must not take an agent down.

Source: spec/agent.md 1.3, 1.5.3. Deviation: of two tools with one visible name the first
stays and a warning says so (DESIGN 10).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from micro_agi.errors import ArgumentsInvalid, EntryInvalid, EntryNotFound, MicroAgiError
from micro_agi.messages import ToolSpec, Warned
from micro_agi.registry.entry import Entry
from micro_agi.registry.snapshot import Snapshot
from micro_agi.security.tenancy import GENERATED, own
from micro_agi.tools.schemas import Schemas
from micro_agi.values import nearest

EMPTY_SCHEMA: Mapping[str, Any] = {"type": "object", "properties": {}}
MODEL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Reference(Struct, frozen=True, kw_only=True):
    """One item of an agent's `tools`."""

    id: str
    alias: str = ""
    description: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    """Of the arguments, instead of the entry's own."""


class Resolved(Struct, frozen=True, kw_only=True):
    """Tools in the order of their references, unique by name, and what did not resolve."""

    tools: tuple[ToolSpec, ...] = ()
    warnings: tuple[Warned, ...] = ()
    named: frozenset[str] = frozenset()
    """Ids of tools that a reference names itself, not by a wildcard."""


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
    check_name(name, where=f"{entry.id} at meta.llm_alias")
    return ToolSpec(
        id=entry.id,
        name=name,
        description=wanted.description or _description(entry),
        schema=input_schema(entry) if wanted.schema is None else dict(wanted.schema),
        context=wanted.context if isinstance(wanted.context, dict) else dict(wanted.context),
        exclusive=entry.meta.get("exclusive") is True,
    )


def _description(entry: Entry) -> str:
    for key in ("llm_description", "description", "llm_descirtion", "comment"):
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
    snapshot: Snapshot,
    references: Iterable[Any],
    *,
    taken: Sequence[ToolSpec] = (),
    schemas: Schemas | None = None,
) -> Resolved:
    """Resolve references in order; `taken` are tools whose names are not free any more.

    With `schemas`, a tool whose schema is none is left out with a warning: a model service
    would refuse the request for it.
    """
    chosen = _Chosen(taken, schemas)
    for item in references:
        try:
            reference = parse_reference(item)
            entries = _entries(snapshot, reference)
        except (EntryInvalid, EntryNotFound) as error:
            if not chosen.add_inline(item):
                chosen.warn(error)
            continue
        wildcard = reference.id.endswith(":*")
        if wildcard and reference.alias:
            said = f"the alias `{reference.alias}` of `{reference.id}` would name many tools"
            chosen.warn(EntryInvalid(said, where=reference.id, fix="alias one tool"))
            reference = replace(reference, alias="")
        for entry in entries:
            try:
                spec = tool_spec(entry, reference)
                chosen.add(spec, named=not wildcard, aliased=bool(reference.alias))
            except (EntryInvalid, ArgumentsInvalid) as error:
                chosen.warn(error)
    return Resolved(
        tools=tuple(chosen.tools), warnings=tuple(chosen.warnings), named=frozenset(chosen.named)
    )


class _Chosen:
    """The tools so far: of two with one name the first stays, and each tool is in it once."""

    def __init__(self, taken: Sequence[ToolSpec], schemas: Schemas | None) -> None:
        self.tools: list[ToolSpec] = []
        self.warnings: list[Warned] = []
        self.named: set[str] = set()
        self._schemas = schemas
        self._holders = {t.name: t.id for t in taken}
        self._ids = {t.id for t in taken}

    def add(self, spec: ToolSpec, *, named: bool, aliased: bool) -> None:
        """Add a tool, or say why it is left out; one may be there under several aliases.

        Raises: ArgumentsInvalid when its schema is none.
        """
        if named:
            self.named.add(spec.id)
        holder = self._holders.get(spec.name)
        if spec.id == holder or (spec.id in self._ids and not aliased):
            return
        if holder is not None:
            said = f"two tools are called `{spec.name}`; `{holder}` stays"
            fix = "give one of them another meta.llm_alias"
            self.warn(EntryInvalid(said, where=spec.id, fix=fix))
            return
        if self._schemas is not None:
            self._schemas.validator(spec.schema, where=f"{spec.id} at meta.input_schema")
        self._holders[spec.name] = spec.id
        self._ids.add(spec.id)
        self.tools.append(spec)

    def add_inline(self, item: Any) -> bool:
        """Add a reference that brings its own schema and names no entry: its host answers it."""
        reference = parse_reference(item) if isinstance(item, Mapping) and "id" in item else None
        if reference is None or reference.schema is None or reference.id.endswith(":*"):
            return False
        name = reference.alias or sanitise(reference.id.rpartition(":")[2])
        inline = ToolSpec(
            id=reference.id,
            name=name,
            description=reference.description or f"Inline tool: {name}",
            schema=dict(reference.schema),
            context=dict(reference.context),
        )
        try:
            check_name(name, where=reference.id)
            self.add(inline, named=True, aliased=bool(reference.alias))
        except (EntryInvalid, ArgumentsInvalid) as error:
            self.warn(error)
        return True

    def warn(self, error: MicroAgiError) -> None:
        self.warnings.append(Warned(text=error.what, where=error.where, fix=error.fix))


def check_name(name: str, *, where: str) -> None:
    """Refuse a name that a model cannot call.

    Raises: EntryInvalid.
    """
    if not MODEL_NAME.fullmatch(name):
        raise EntryInvalid(
            f"a model cannot call a tool named `{name}`",
            where=where,
            fix="use 1 to 64 letters, digits, `_` or `-`",
        )


def _entries(snapshot: Snapshot, reference: Reference) -> list[Entry]:
    namespace, colon, name = reference.id.partition(":")
    if not (colon and name == "*"):
        return [snapshot.get(reference.id)]
    made = namespace == GENERATED
    if made:  # by agents, for whoever this is compiled for; there may be none yet
        namespace = own(GENERATED, snapshot.user or "")
    found = [
        e
        for e in snapshot.namespace(namespace)
        if e.kind.startswith("function.") and e.meta.get("type") == "tool"
    ]
    if not found and not made:
        spaces = {e.namespace for e in snapshot.find({"meta.type": "tool"})}
        near = ", ".join(nearest(namespace, spaces) or sorted(spaces))
        raise EntryNotFound(
            f"no tools in namespace `{namespace}`", where=reference.id, fix=f"there are: {near}"
        )
    return sorted(found, key=visible_name)
