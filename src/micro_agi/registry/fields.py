"""The fields of entry kinds, and the checks that look at more than one of them.

Messages are those of the documents' runtime where it has one: people search for them.
An empty Lua table arrives as a map, so an empty map passes for an empty list.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from micro_agi.errors import EntryInvalid
from micro_agi.registry.entry import Entry
from micro_agi.values import nearest

FieldType = Literal["text", "texts", "map", "list", "flag", "any"]

EXPECTED: Mapping[FieldType, str] = {
    "text": "a text",
    "texts": "a list of texts",
    "map": "a map",
    "list": "a list",
    "flag": "true or false",
    "any": "a value",
}

MODULES = (
    *("archive", "base64", "channel", "cloudstorage", "compress", "contract", "crypto", "ctx"),
    *("docs", "env", "errors", "eval_runner", "events", "excel", "exec", "expr", "fs", "funcs"),
    *("hash", "html", "http", "http_client", "hub", "io", "json", "logger", "metrics", "payload"),
    *("pg", "process", "queue", "registry", "security", "sql", "store", "stream", "system"),
    *("template", "text", "time", "treesitter", "tty", "url", "uuid", "websocket", "workflow"),
    *("yaml", "numpy", "pandas", "llm", "agents"),
)
"""Names that `modules` may hold (spec/runtime.md 6). Which of them a worker has, and which
an agent's tool may ask for, is decided where code is run; this list catches misspellings."""


class Field(Struct, frozen=True):
    """One field of an entry's data."""

    name: str
    type: FieldType
    required: bool = False
    summary: str = ""

    def check(self, entry: Entry) -> None:
        """Return quietly if the field is absent and may be, or has its type.

        Raises: EntryInvalid.
        """
        value = entry.data.get(self.name)
        path = f"data.{self.name}"
        if value is None or (self.required and value == ""):
            if self.required:
                raise invalid(entry, path, f"{self.name} is required", self.summary)
            return
        if not _fits(self.type, value):
            got = "null" if value is None else type(value).__name__
            raise invalid(
                entry,
                path,
                f"{self.name} must be {EXPECTED[self.type]}, not {got}",
                self.summary,
            )
        if self is MODULES_FIELD:
            _check_modules(entry, value)


MODULES_FIELD = Field("modules", "texts", summary="modules it asks for, such as `time` or `json`")


def invalid(entry: Entry, path: str, what: str, fix: str = "") -> EntryInvalid:
    """Build the error for a place inside an entry."""
    return EntryInvalid(what, where=f"{entry.id} at {path}", fix=fix)


def _fits(wanted: FieldType, value: Any) -> bool:
    match wanted:
        case "text":
            return isinstance(value, str)
        case "texts":
            return value == {} or (
                isinstance(value, list) and all(isinstance(item, str) for item in value)
            )
        case "map":
            return isinstance(value, Mapping) or value == []
        case "list":
            return isinstance(value, list) or value == {}
        case "flag":
            return isinstance(value, bool)
        case "any":
            return True


def _check_modules(entry: Entry, modules: Any) -> None:
    for number, name in enumerate(modules):
        path = f"data.modules[{number}]"
        if not name:
            raise invalid(entry, path, "module cannot be empty")
        if ":" in name:
            raise invalid(
                entry,
                path,
                f"module cannot have a namespace: {name}",
                "a library is imported: imports = {alias = id}",
            )
        if name not in MODULES:
            near = nearest(name, MODULES) or list(MODULES)
            raise invalid(
                entry, path, f"unknown module `{name}`", f"known modules: {', '.join(near)}"
            )


def check_imports(entry: Entry) -> None:
    """Check `imports`: texts to texts, nothing empty."""
    imports = entry.data.get("imports")
    for alias, target in (imports or {}).items() if isinstance(imports, Mapping) else ():
        path = f"data.imports.{alias}"
        if not alias.strip():
            raise invalid(entry, path, "import alias cannot be empty")
        if not isinstance(target, str):
            raise invalid(entry, path, "an import must be the id of an entry")
        if not target or target.endswith(":"):
            raise invalid(entry, path, f"import :{target} cannot be empty")


def check_pool(entry: Entry) -> None:
    """Check `pool`: one of four types, sizes that fit together."""
    pool = entry.data.get("pool") or {}
    kinds = ("lazy", "static", "inline", "adaptive")
    wanted = pool.get("type")
    if wanted is not None and wanted not in kinds:
        raise invalid(
            entry, "data.pool.type", f"unknown pool type `{wanted}`", f"use one of: {kinds}"
        )
    sizes = {}
    for name in ("size", "workers", "buffer", "max_size"):
        sizes[name] = _whole(entry, f"data.pool.{name}", pool.get(name))
    if sizes["workers"] and not sizes["size"]:
        raise invalid(
            entry, "data.pool.size", "pool.size must be greater than 0 for non-flex pools"
        )


def check_host(entry: Entry) -> None:
    """Check a host's sizes: whole numbers, not negative."""
    for name in ("workers", "queue_size", "local_queue_size"):
        _whole(entry, f"data.host.{name}", (entry.data.get("host") or {}).get(name))


def check_dependency(entry: Entry) -> None:
    """Check a dependency's component and parameters."""
    component = entry.data["component"]
    if not re.fullmatch(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+", component):
        raise invalid(
            entry,
            "data.component",
            f"`{component}` is no component",
            "write organization/module, as in wippy/llm",
        )
    for number, item in enumerate(entry.data.get("parameters") or ()):
        named = isinstance(item, Mapping) and isinstance(item.get("name"), str)
        if not named or "value" not in item:
            raise invalid(
                entry, f"data.parameters[{number}]", "a parameter needs a name and a value"
            )


def check_command(entry: Entry) -> None:
    """Check `meta.command`, which makes a process a command."""
    command = entry.meta.get("command")
    if command is None:
        return
    if not isinstance(command, Mapping) or not isinstance(command.get("name"), str):
        raise invalid(entry, "meta.command", "a command needs a name", "write `name: chat`")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:-]*", command["name"]):
        raise invalid(
            entry,
            "meta.command.name",
            f"`{command['name']}` is no command name",
            "use letters, digits, - and _",
        )


def check_tool(entry: Entry) -> None:
    """Check what the agent layer reads of a tool: its alias, description and schema."""
    if entry.meta.get("type") != "tool":
        return
    for name in ("llm_alias", "llm_description", "title", "comment"):
        if not isinstance(entry.meta.get(name) or "", str):
            raise invalid(entry, f"meta.{name}", f"{name} must be a text")
    schema = entry.meta.get("input_schema")
    if schema is None or schema == []:
        return
    if isinstance(schema, str):
        try:
            schema = msgspec.json.decode(schema)
        except msgspec.DecodeError as error:
            raise invalid(
                entry, "meta.input_schema", f"it is no JSON: {error}", "write a JSON Schema object"
            ) from error
    if not isinstance(schema, Mapping):
        raise invalid(
            entry,
            "meta.input_schema",
            "it is no JSON Schema object",
            'start with {"type": "object"',
        )


def check_methods(entry: Entry) -> None:
    """Check a binding's references; whether they exist is asked when it is opened."""
    for number, item in enumerate(entry.data.get("contracts") or ()):
        path = f"data.contracts[{number}]"
        if not isinstance(item, Mapping) or not isinstance(item.get("contract"), str):
            raise invalid(entry, path, "a binding needs the id of its contract")
        methods = item.get("methods") or {}
        if not isinstance(methods, Mapping) or not all(
            isinstance(target, str) for target in methods.values()
        ):
            raise invalid(entry, f"{path}.methods", "methods must map names to function ids")


def _whole(entry: Entry, path: str, value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise invalid(entry, path, f"{path.rpartition('.')[2]} must be a whole number, 0 or more")
    return value
