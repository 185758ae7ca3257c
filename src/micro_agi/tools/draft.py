"""Read what an author hands in as a tool: step one of the gate, the shape.

A `Draft` is a tool as its author wants it, and knows the registry entry it would become.
Nothing here looks at a registry or runs anything: `tools.create` takes a draft further.
Every refusal names the gate's step, so that the model that wrote the draft can act on it.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from msgspec import Struct, field

from micro_agi.errors import DraftRefused, MicroAgiError, PolicyDenied
from micro_agi.registry.entry import Entry
from micro_agi.sandbox.modules import PYTHON_MODULES
from micro_agi.security.tenancy import GENERATED, own
from micro_agi.tools import python_schema, python_source
from micro_agi.tools.resolve import input_schema
from micro_agi.tools.schemas import validator_for

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
MAX_SOURCE_CHARS = 16_000
"""Seed 000's MAX_SOURCE_LEN."""
MAX_TESTS = 32
KINDS = {"lua": "function.lua", "python": "function.python"}
INPUT_KEYS = (
    *("name", "description", "source", "modules", "hosts", "input_schema", "tests"),
    *("language", "expected_revision", "imports", "function"),
)

Tests = tuple[Mapping[str, Any], ...]


class Draft(Struct, frozen=True, kw_only=True):
    """A tool as its author hands it in, parsed."""

    name: str
    description: str
    source: str
    language: str = "lua"
    method: str = "handler"
    """The function that a call runs."""
    modules: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    schema: Mapping[str, Any] = field(default_factory=dict)
    tests: tuple[Mapping[str, Any], ...] = ()
    imports: Mapping[str, str] = field(default_factory=dict)
    expected_revision: int | None = None
    user: str = ""
    """Whose tool it will be."""

    @property
    def id(self) -> str:
        """The id it is written under; always in the user's namespace of generated tools."""
        return f"{own(GENERATED, self.user)}:{self.name}"

    def entry(self) -> Entry:
        """Return the registry entry: what seed 000 writes, with hosts and tests beside it."""
        data: dict[str, Any] = {
            "source": self.source,
            "modules": list(self.modules),
            "method": self.method,
        }
        extra: dict[str, Any] = {
            "hosts": list(self.hosts),
            "tests": list(self.tests),
            "imports": self.imports,
        }
        data |= {key: value for key, value in extra.items() if value}
        return Entry(
            id=self.id,
            kind=KINDS[self.language],
            meta={
                "type": "tool",
                "title": self.name,
                "comment": self.description,
                "input_schema": dict(self.schema),
                "llm_alias": self.name,
                "llm_description": self.description,
            },
            data=data,
        )


def tests_of(entry: Entry | None) -> Tests:
    """Return the tests stored with a tool; none for no tool."""
    tests = entry.data.get("tests") if entry else ()
    return tuple(tests) if isinstance(tests, list | tuple) else ()


def parse_draft(value: Any) -> Draft:
    """Read what `create_tool` was given: step one, the shape.

    Raises: DraftRefused naming the key, and how to write it.
    """
    if not isinstance(value, Mapping):
        raise refused("shape", "the draft is no object", f"send {', '.join(INPUT_KEYS)}")
    unknown = [k for k in value if k not in INPUT_KEYS]
    if unknown:
        raise refused(
            "shape", f"unknown key `{unknown[0]}`", f"known keys: {', '.join(INPUT_KEYS)}"
        )
    language = value.get("language") or "lua"
    if language not in KINDS:
        raise refused("shape", f"language `{language}` is not available", "lua or python")
    name = value.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise refused(
            "shape",
            f"`{name}` is no tool name",
            "use a lower-case letter, then up to 63 of a-z, 0-9 and _",
        )
    revision = value.get("expected_revision")
    source = _source(value)
    if value.get("function") and language != "python":
        raise refused("shape", "`function` is for Python", "Lua returns { handler = … }")
    method, schema = _python(value, name, source) if language == "python" else ("handler", None)
    modules = _list(value, "modules", str)
    if language == "python":
        # The standard library needs no grant, so asking for a part of it does no harm.
        modules = [m for m in modules if m in PYTHON_MODULES or m not in sys.stdlib_module_names]
    return Draft(
        name=name,
        description=_description(value, method, source),
        source=source,
        language=language,
        method=method,
        modules=tuple(modules),
        hosts=tuple(_list(value, "hosts", str)),
        schema=_schema(value) if schema is None else schema,
        tests=_tests(value),
        imports=_imports(value),
        expected_revision=revision if isinstance(revision, int) else None,
    )


def _python(
    value: Mapping[str, Any], name: str, source: str
) -> tuple[str, Mapping[str, Any] | None]:
    """Return the function of a Python source and, unless one is given, its schema."""
    with gate_step("source"):
        tree = python_source.parse(source)
        function = python_source.function_of(tree, name, named=str(value.get("function") or ""))
        given = value.get("input_schema") is not None
        if given or function.name == python_source.HANDLER:
            return function.name, None
        return function.name, python_schema.schema_of(tree, function)


def _description(value: Mapping[str, Any], method: str, source: str) -> str:
    """Return what is said of the tool; of a named function, what its docstring says first."""
    if value.get("function") and not value.get("description"):
        tree = python_source.parse(source)
        function = python_source.function_of(tree, method, named=method)
        return " ".join((ast.get_docstring(function) or "").partition("\n\n")[0].split())
    return _text(value, "description")


def _text(value: Mapping[str, Any], key: str) -> str:
    text = value.get(key)
    if not isinstance(text, str) or not text.strip():
        raise refused("shape", f"`{key}` is missing", f"`{key}` is a text of at least one word")
    return text


def _source(value: Mapping[str, Any]) -> str:
    source = _text(value, "source")
    if len(source) > MAX_SOURCE_CHARS:
        raise refused(
            "shape",
            f"the source has {len(source)} characters, {MAX_SOURCE_CHARS} are allowed",
            "make the tool smaller, or split it in two",
        )
    return source


def _list(value: Mapping[str, Any], key: str, item_type: type) -> list[Any]:
    items = value.get(key)
    # An empty Lua table arrives as an empty map (spec/runtime.md T-4).
    if items is None or items == {}:
        return []
    if not isinstance(items, list | tuple) or not all(isinstance(i, item_type) for i in items):
        raise refused("shape", f"`{key}` is no list of {item_type.__name__}", f"write {key}: […]")
    return list(items)


def _schema(value: Mapping[str, Any]) -> Mapping[str, Any]:
    raw = value.get("input_schema")
    with gate_step("shape"):
        schema = input_schema(
            Entry(id="input_schema", kind="function.lua", meta={"input_schema": raw}, data={})
        )
        validator_for(schema, where="input_schema")
    if schema["type"] != "object":
        raise refused("shape", "`input_schema` is no object schema", 'set "type": "object"')
    return schema


def _imports(value: Mapping[str, Any]) -> Mapping[str, str]:
    imports = value.get("imports") or {}
    if not isinstance(imports, Mapping) or not all(isinstance(i, str) for i in imports.values()):
        raise refused("shape", "`imports` is no map of ids", 'write {"name": "app.generated:id"}')
    return dict(imports)


def _tests(value: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    tests = _list(value, "tests", dict)
    how = 'a test is {"args": {…}, "expect": …} or {"args": {…}, "error": "part of the message"}'
    if len(tests) > MAX_TESTS:
        raise refused("shape", f"{len(tests)} tests, {MAX_TESTS} are allowed", "keep the best")
    for number, test in enumerate(tests, 1):
        unknown = set(test) - {"args", "expect", "error", "host", "now"}
        if unknown:
            raise refused("shape", f"test {number} has an unknown key `{unknown.pop()}`", how)
        if ("expect" in test) == ("error" in test):
            raise refused("shape", f"test {number} needs either `expect` or `error`", how)
        try:
            now_ns(test.get("now"))
        except ValueError as error:
            raise refused(
                "shape",
                f"`now` of test {number} is no time: {error}",
                "write it like 2026-01-01T00:00:00Z",
            ) from error
    return tuple(tests)


def now_ns(text: Any) -> int | None:
    """Return the time that a test's `now` sets, in nanoseconds since 1970.

    Raises: ValueError for what is no time, or has no zone.
    """
    if text is None:
        return None
    moment = datetime.fromisoformat(str(text))
    if moment.tzinfo is None:
        raise ValueError("it has no zone")
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000


def refused(step: str, what: str, fix: str) -> DraftRefused:
    """Return the refusal of a step of the gate; raise it."""
    return DraftRefused(what, where=f"gate step {step}", fix=fix)


@contextmanager
def gate_step(name: str) -> Iterator[None]:
    """Turn errors of lower parts into refusals that name the gate's step."""
    try:
        yield
    except (DraftRefused, PolicyDenied):
        raise
    except MicroAgiError as error:
        where = f"gate step {name}" + (f", {error.where}" if error.where else "")
        raise DraftRefused(error.what, where=where, fix=error.fix) from error
