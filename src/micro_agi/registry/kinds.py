"""Every kind of entry: what it is for, which fields it has, what makes one invalid.

`KINDS` is the only list; the documentation is generated from it. Fields that a kind does
not name are allowed and ignored, as in the documents' runtime. Whether a Lua source
parses is not decided here: that needs a worker (`Registry(admit=…)`).

Source: spec/runtime.md 2.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct

from micro_agi.registry.entry import Entry
from micro_agi.registry.fields import (
    MODULES_FIELD,
    Field,
    check_command,
    check_dependency,
    check_host,
    check_imports,
    check_methods,
    check_pool,
    check_tool,
    invalid,
)
from micro_agi.security.policy import parse_policy
from micro_agi.values import nearest

Source = Literal["file", "runtime", "program"]
"""Where an entry comes from: an app's files, a change set, or this program itself."""

MAX_ENTRY_BYTES = 4 << 20
"""Of text in one entry; a registry is no file store."""
MAX_DEPTH = 64

Check = Callable[[Entry], None]


class Kind(Struct, frozen=True, kw_only=True):
    """One kind of entry."""

    name: str
    summary: str
    """One line for the documentation."""
    fields: tuple[Field, ...] = ()
    """Of `data`."""
    checks: tuple[Check, ...] = ()
    """What single fields cannot say; each raises EntryInvalid."""
    sources: tuple[Source, ...] = ("file", "runtime", "program")


SOURCE = Field("source", "text", required=True, summary="Lua text, usually `file://name.lua`")
METHOD = Field("method", "text", required=True, summary="key of the handler in the returned table")
IMPORTS = Field("imports", "map", summary="alias → id of a library or function")
LIFECYCLE = Field("lifecycle", "map", summary="auto_start, timeouts, restart, security")
POLICY = Field("policy", "map", required=True, summary="actions, resources, effect, conditions")
GROUPS = Field("groups", "texts", summary="named scopes it belongs to")


def _policy(entry: Entry) -> None:
    parse_policy(entry.id, entry.data)


def _expression(entry: Entry) -> None:
    _policy(entry)
    rule = entry.data["policy"]
    if not isinstance(rule.get("expression"), str) or not rule["expression"].strip():
        raise invalid(entry, "data.policy.expression", "expression is required")


_ALL = (
    Kind(
        name="ns.definition",
        summary="describes a namespace: title, description, readme",
        fields=(Field("readme", "text", summary="Markdown, usually `file://README.md`"),),
    ),
    Kind(
        name="ns.dependency",
        summary="asks for a module; `wippy/llm`, `wippy/agent` and `wippy/terminal` are built in",
        fields=(
            Field("component", "text", required=True, summary="`organization/module`"),
            Field("version", "text", summary="constraint such as `^1.2` or `*`"),
            Field("parameters", "list", summary="list of `{name, value}`"),
        ),
        checks=(check_dependency,),
    ),
    Kind(
        name="ns.requirement",
        summary="a parameter that a module wants from who depends on it",
        fields=(
            Field("targets", "list", summary="list of `{entry, path}` that get the value"),
            Field("default", "any", summary="value when nobody gives one"),
        ),
    ),
    Kind(name="env.storage.os", summary="the process environment, read-only"),
    Kind(name="env.storage.memory", summary="variables kept in memory"),
    Kind(
        name="env.storage.file",
        summary="variables kept in a file",
        fields=(Field("path", "text", required=True, summary="the file"),),
    ),
    Kind(
        name="env.storage.router",
        summary="several storages, asked in order",
        fields=(Field("storages", "texts", required=True, summary="ids of storages"),),
    ),
    Kind(
        name="env.variable",
        summary="a named variable that Lua's `env` module can read",
        fields=(
            Field("storage", "text", required=True, summary="id of the storage"),
            Field("variable", "text", summary="public name; the id when empty"),
            Field("default", "text", summary="value when it is unset or empty"),
            Field("readonly", "flag", summary="refuses `env.set`"),
        ),
    ),
    Kind(name="store.sql", summary="keys and values that last, in the state database"),
    Kind(
        name="process.host",
        summary="where processes run",
        fields=(Field("host", "map", summary="workers, queue_size, local_queue_size"), LIFECYCLE),
        checks=(check_host,),
    ),
    Kind(
        name="terminal.host",
        summary="where commands run; one is built in",
        fields=(Field("hide_logs", "flag", summary="no log lines on the terminal"), LIFECYCLE),
    ),
    Kind(
        name="process.service",
        summary="runs a process under supervision",
        fields=(
            Field("process", "text", required=True, summary="id of a process.lua entry"),
            Field("host", "text", required=True, summary="id of a host"),
            Field("input", "list", summary="arguments"),
            LIFECYCLE,
        ),
    ),
    Kind(
        name="security.policy",
        summary="allows or denies actions on resources",
        fields=(POLICY, GROUPS),
        checks=(_policy,),
    ),
    Kind(
        name="security.policy.expr",
        summary="a policy with an expression; stored, and a deny counts without its expression",
        fields=(POLICY, GROUPS),
        checks=(_expression,),
    ),
    Kind(
        name="security.token_store",
        summary="issues tokens; stored only",
        fields=(Field("store", "text", required=True, summary="id of a store"),),
    ),
    Kind(
        name="registry.entry",
        summary="data that is found by its meta: agents, models, traits",
    ),
    Kind(
        name="function.lua",
        summary="a function in Lua, run in a locked worker; with meta.type `tool`, a tool",
        fields=(
            SOURCE,
            METHOD,
            MODULES_FIELD,
            IMPORTS,
            Field("hosts", "texts", summary="URL patterns it wants to request"),
            Field("tests", "list", summary="list of `{args, expect | error, host}`"),
            Field("pool", "map", summary="type, size, workers; accepted, one VM serves one call"),
        ),
        checks=(check_imports, check_pool, check_tool),
    ),
    Kind(
        name="function.python",
        summary="a function in Python, run in a locked worker; with meta.type `tool`, a tool",
        fields=(
            Field("source", "text", required=True, summary="Python text"),
            METHOD,
            MODULES_FIELD,
            IMPORTS,
            Field("hosts", "texts", summary="URL patterns it wants to request"),
            Field("tests", "list", summary="list of `{args, expect | error, host}`"),
        ),
        checks=(check_imports, check_tool),
    ),
    Kind(
        name="function.native",
        summary="a trusted function of this program or of an embedder; never from an app's files",
        fields=(Field("target", "text", required=True, summary="its registered name"),),
        checks=(check_tool,),
        sources=("program",),
    ),
    Kind(
        name="library.lua",
        summary="Lua code that others import",
        fields=(SOURCE, MODULES_FIELD, IMPORTS),
        checks=(check_imports,),
    ),
    Kind(
        name="process.lua",
        summary="a process in Lua; with meta.command, a command",
        fields=(SOURCE, METHOD, MODULES_FIELD, IMPORTS),
        checks=(check_imports, check_command),
    ),
    Kind(
        name="contract.definition",
        summary="methods that others implement",
        fields=(Field("methods", "list", summary="list of `{name, input_schemas, …}`"),),
    ),
    Kind(
        name="contract.binding",
        summary="which functions implement a contract",
        fields=(Field("contracts", "list", summary="list of `{contract, methods, default}`"),),
        checks=(check_methods,),
    ),
)

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}


def validate(entry: Entry, *, source: Source) -> None:
    """Return quietly if the entry is well formed for its kind.

    Raises: EntryInvalid whose `where` is `<id> at <path>`.
    """
    _check_id(entry)
    kind = KINDS.get(entry.kind)
    if kind is None:
        near = nearest(entry.kind, KINDS) or list(KINDS)
        raise invalid(
            entry, "kind", f"unknown kind `{entry.kind}`", f"known kinds: {', '.join(near)}"
        )
    if source not in kind.sources:
        raise invalid(
            entry,
            "kind",
            f"`{entry.kind}` cannot come from {'a file' if source == 'file' else 'a change'}",
            "only this program and its embedder make such entries",
        )
    _check_json(entry)
    for field in kind.fields:
        field.check(entry)
    for check in kind.checks:
        check(entry)


def _check_id(entry: Entry) -> None:
    if not entry.namespace or not entry.name:
        raise invalid(entry, "id", "an id needs a namespace and a name", 'write "namespace:name"')
    bad = next((c for c in entry.id if not c.isprintable()), None)
    if bad is not None:
        raise invalid(
            entry, "id", f"an id may not contain {bad!a}", "use letters, digits, . _ and -"
        )
    if len(entry.id) > 512:
        raise invalid(entry, "id", f"an id of {len(entry.id)} characters", "use at most 512")


def _check_json(entry: Entry) -> None:
    """Refuse what cannot be stored and read back the same, and what is too much."""
    size = 0
    stack: list[tuple[Any, str, int]] = [(entry.meta, "meta", 0), (entry.data, "data", 0)]
    while stack:
        value, path, depth = stack.pop()
        if isinstance(value, str):
            size += len(value)
            _check_text(entry, path, value)
        elif isinstance(value, Mapping | list) and depth >= MAX_DEPTH:
            raise invalid(entry, path[:80], f"nested deeper than {MAX_DEPTH}")
        elif isinstance(value, Mapping):
            for key, item in value.items():
                if not isinstance(key, str):
                    raise invalid(entry, path, f"the key {key!r} is no text", "quote it")
                size += len(key)
                stack.append((item, f"{path}.{key}", depth + 1))
        elif isinstance(value, list):
            size += len(value)
            stack += [(item, f"{path}[{n}]", depth + 1) for n, item in enumerate(value)]
        elif isinstance(value, float) and not math.isfinite(value):
            raise invalid(entry, path, f"{value} is no JSON number")
        elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
            raise invalid(entry, path, "the number does not fit in 64 bits", "write it as a text")
        elif value is not None and not isinstance(value, int | float):
            raise invalid(entry, path, f"a {type(value).__name__} is no JSON")
    if size > MAX_ENTRY_BYTES:
        raise invalid(entry, "data", f"it holds {size} characters", f"{MAX_ENTRY_BYTES} fit")


def _check_text(entry: Entry, path: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise invalid(entry, path, "the text is no valid Unicode") from error
