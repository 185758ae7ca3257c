"""The gate: from a draft tool to a versioned entry in the registry.

Six steps in this order, each refusal an error that the model can act on: shape, policy,
grants, source, trial, write (DESIGN 8). The gate adds authority to nothing: the registry's
door asks the policy again at the write, and the worker confines whatever passed.

`create_tool`, `micro-agi tool create FILE` and promoted skills all come through here.
"""

import ast
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from micro_agi.errors import (
    DraftRefused,
    EntryInvalid,
    EntryNotFound,
    MicroAgiError,
    PolicyDenied,
    ToolFailed,
)
from micro_agi.registry.entry import Entry
from micro_agi.registry.registry import Registry
from micro_agi.registry.seen import seen_by
from micro_agi.sandbox.modules import PYTHON_MODULES
from micro_agi.sandbox.pool import Pool
from micro_agi.security.actor import Actor
from micro_agi.security.context import CallContext, Trial
from micro_agi.security.policy import Scope, denial
from micro_agi.security.tenancy import GENERATED, own
from micro_agi.tools import lua_source, python_schema, python_source
from micro_agi.tools.approve import declared_hosts
from micro_agi.tools.call import as_text
from micro_agi.tools.functions import Functions, check_generated_modules
from micro_agi.tools.resolve import input_schema, visible_name
from micro_agi.tools.schemas import validator_for
from micro_agi.values import canonical_json

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
MAX_SOURCE_CHARS = 16_000
"""Seed 000's MAX_SOURCE_LEN."""
MAX_TESTS = 32
KINDS = {"lua": "function.lua", "python": "function.python"}
INPUT_KEYS = (
    *("name", "description", "source", "modules", "hosts", "input_schema", "tests"),
    *("language", "expected_revision", "imports", "function"),
)


FINDINGS = {"lua": lua_source.findings, "python": python_source.findings}

Tests = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """What the gate did."""

    id: str
    version: int
    updated: bool
    unchanged: bool
    report: Mapping[str, Any]


class Gate:
    """Checks drafts against one registry and writes those that pass."""

    def __init__(self, registry: Registry, functions: Functions, pool: Pool) -> None:
        self._registry = registry
        self._functions = functions
        self._pool = pool

    async def native(self, arguments: Any, context: CallContext) -> dict[str, Any]:
        """Serve `system:create_tool`: the draft as JSON in, what was created out."""
        created = await self.create(parse_draft(arguments), context)
        tested = created.report["tests"]
        return {
            "created": not created.updated and not created.unchanged,
            "updated": created.updated,
            "unchanged": created.unchanged,
            "id": created.id,
            "version": created.version,
            "tests": tested,
            "next": f"call load_tool with id {created.id}",
        }

    async def create(self, draft: Draft, context: CallContext) -> Created:
        """Take a draft through all six steps.

        Raises: DraftRefused or PolicyDenied naming the step; EntryConflict when somebody
        changed the tool in between.
        """
        draft = replace(draft, user=context.user)
        old = self._existing(draft.id)
        if old is not None and old.kind != KINDS[draft.language]:
            raise _refused(
                "shape",
                f"`{draft.id}` is a {old.kind}, and a tool keeps its language",
                "write it in the same language, or choose another name",
            )
        # Only a person may drop a test: an agent's update keeps those it replaces.
        given = draft.tests
        kept = () if context.root else tuple(t for t in tests_of(old) if t not in given)
        draft = replace(draft, tests=(*given, *kept))
        entry = draft.entry()
        self._check_policy(entry, context, action="update" if old else "create")
        self._check_grants(draft, entry)
        await self._check_source(draft, entry)
        report = await self._try(draft, entry, given, kept, context)
        if old is not None and old.hash == entry.hash:
            earlier = self._earlier(entry, context)
            if earlier is not None:
                return earlier
            version = self._registry.version
            return Created(
                id=entry.id, version=version, updated=False, unchanged=True, report=report
            )
        version = await self._write(draft, entry, old, context, report)
        return Created(
            id=entry.id, version=version, updated=old is not None, unchanged=False, report=report
        )

    def _earlier(self, entry: Entry, context: CallContext) -> Created | None:
        """Return what this very call wrote before it was cut off and made again."""
        for version in self._registry.versions_of_call(context.session, context.call_id):
            for change in version.operations:
                if (change.entry_id, change.after) == (entry.id, entry.hash):
                    return Created(
                        id=entry.id,
                        version=version.id,
                        updated=change.kind == "entry.update",
                        unchanged=False,
                        report=version.report,
                    )
        return None

    def _existing(self, entry_id: str) -> Entry | None:
        try:
            return self._registry.get(entry_id)
        except EntryNotFound:
            return None

    def _check_policy(self, entry: Entry, context: CallContext, *, action: str) -> None:
        """Ask what the agents' scope says, whoever calls: a person's draft is an agent's tool."""
        registry = seen_by(self._registry, context.user)
        scope = registry.write_scope()
        actor = context.actor if not context.root else Actor("agent:" + (context.agent or "any"))
        verdict = scope.evaluate(actor, f"registry.{action}", entry.id)
        if not verdict.allowed:
            raise denial(verdict, f"registry.{action}", entry.id)
        for other in registry.find({"meta.type": "tool"}):
            if other.id != entry.id and visible_name(other) == visible_name(entry):
                raise PolicyDenied(
                    f"the name `{visible_name(entry)}` belongs to `{other.id}`",
                    where="gate step policy",
                    fix="choose another name",
                )

    def _check_grants(self, draft: Draft, entry: Entry) -> None:
        with _step("grants"):
            check_generated_modules(draft.id, draft.modules, KINDS[draft.language])
            declared_hosts(entry)
        if draft.hosts and "http_client" not in draft.modules:
            raise _refused(
                "grants",
                "`hosts` are of no use without module `http_client`",
                'add "http_client" to `modules`, or leave `hosts` out',
            )
        if "http_client" in draft.modules and not draft.hosts:
            raise _refused(
                "grants",
                "a tool with `http_client` must say where it wants to go",
                '`hosts` is a list of URL patterns: ["https://api.example.com/*"]',
            )

    async def _check_source(self, draft: Draft, entry: Entry) -> None:
        with _step("source"):
            try:
                await self._pool.check(self._functions.draft_unit(entry))
            except (ToolFailed, EntryInvalid) as error:
                if draft.language != "python":
                    raise
                raise python_source.not_loaded(error) from error
        problems = FINDINGS[draft.language](
            draft.source, modules=draft.modules, imports=draft.imports
        )
        if problems:
            raise _refused(
                "source",
                "; ".join(f"line {p.line}: {p.what}" for p in problems[:5]),
                "; ".join(dict.fromkeys(p.fix for p in problems[:5])),
            )

    async def _try(
        self, draft: Draft, entry: Entry, given: Tests, kept: Tests, context: CallContext
    ) -> dict[str, Any]:
        """Run the draft's own tests, and those it keeps of the version it replaces."""
        unit = self._functions.draft_unit(entry)
        own_failures = await self.run_tests(unit, given, context)
        if own_failures:
            raise _refused(
                "trial",
                f"{len(own_failures)} of {len(given)} tests failed: " + "; ".join(own_failures[:5]),
                "correct the source, or the test if it expects the wrong thing",
            )
        old_failures = await self.run_tests(unit, kept, context)
        if old_failures:
            raise _refused(
                "trial",
                "tests of the version it replaces failed: " + "; ".join(old_failures[:5]),
                "keep what worked, or choose another name; only a person may drop these tests",
            )
        passed = len(draft.tests)
        return {
            "tests": {"passed": passed, "untested": passed == 0},
            "modules": list(draft.modules),
            "hosts": list(draft.hosts),
        }

    async def run_tests(
        self, unit: Any, tests: Sequence[Mapping[str, Any]], context: CallContext
    ) -> list[str]:
        """Run tests in a worker without any outside effect and describe those that failed."""
        failures = []
        for number, test in enumerate(tests, 1):
            trial = Trial(host=test.get("host") or {}, now_ns=_now_ns(test.get("now")))
            inner = context.narrowed(
                root=False, actor=Actor("trial"), scope=Scope(), grants=Scope(), trial=trial
            )
            try:
                got = await self._pool.call(unit, [test.get("args") or {}], context=inner)
            except ToolFailed as error:
                problem = _compare_error(test, error)
            else:
                problem = _compare_value(test, got)
            if problem:
                failures.append(f"test {number}: {problem}")
        return failures

    async def _write(
        self,
        draft: Draft,
        entry: Entry,
        old: Entry | None,
        context: CallContext,
        report: Mapping[str, Any],
    ) -> int:
        changes = self._registry.snapshot().changes()
        if old is None:
            changes.create(entry)
        else:
            changes.update(entry)
        # Without a revision of the author's, the one this gate looked at: nobody else's
        # change may be overwritten unseen.
        seen = old.revision if old else None
        revision = seen if draft.expected_revision is None else draft.expected_revision
        version = await changes.apply(
            context,
            reason=context.reason or "create_tool",
            expected={entry.id: revision},
            report=report,
        )
        return version.id


def tests_of(entry: Entry | None) -> Tests:
    """Return the tests stored with a tool; none for no tool."""
    tests = entry.data.get("tests") if entry else ()
    return tuple(tests) if isinstance(tests, list | tuple) else ()


def parse_draft(value: Any) -> Draft:
    """Read what `create_tool` was given: step one, the shape.

    Raises: DraftRefused naming the key, and how to write it.
    """
    if not isinstance(value, Mapping):
        raise _refused("shape", "the draft is no object", f"send {', '.join(INPUT_KEYS)}")
    unknown = [k for k in value if k not in INPUT_KEYS]
    if unknown:
        raise _refused(
            "shape", f"unknown key `{unknown[0]}`", f"known keys: {', '.join(INPUT_KEYS)}"
        )
    language = value.get("language") or "lua"
    if language not in KINDS:
        raise _refused("shape", f"language `{language}` is not available", "lua or python")
    name = value.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise _refused(
            "shape",
            f"`{name}` is no tool name",
            "use a lower-case letter, then up to 63 of a-z, 0-9 and _",
        )
    revision = value.get("expected_revision")
    source = _source(value)
    if value.get("function") and language != "python":
        raise _refused("shape", "`function` is for Python", "Lua returns { handler = … }")
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
    with _step("source"):
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
        raise _refused("shape", f"`{key}` is missing", f"`{key}` is a text of at least one word")
    return text


def _source(value: Mapping[str, Any]) -> str:
    source = _text(value, "source")
    if len(source) > MAX_SOURCE_CHARS:
        raise _refused(
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
        raise _refused("shape", f"`{key}` is no list of {item_type.__name__}", f"write {key}: […]")
    return list(items)


def _schema(value: Mapping[str, Any]) -> Mapping[str, Any]:
    raw = value.get("input_schema")
    with _step("shape"):
        schema = input_schema(
            Entry(id="input_schema", kind="function.lua", meta={"input_schema": raw}, data={})
        )
        validator_for(schema, where="input_schema")
    if schema["type"] != "object":
        raise _refused("shape", "`input_schema` is no object schema", 'set "type": "object"')
    return schema


def _imports(value: Mapping[str, Any]) -> Mapping[str, str]:
    imports = value.get("imports") or {}
    if not isinstance(imports, Mapping) or not all(isinstance(i, str) for i in imports.values()):
        raise _refused("shape", "`imports` is no map of ids", 'write {"name": "app.generated:id"}')
    return dict(imports)


def _tests(value: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    tests = _list(value, "tests", dict)
    how = 'a test is {"args": {…}, "expect": …} or {"args": {…}, "error": "part of the message"}'
    if len(tests) > MAX_TESTS:
        raise _refused("shape", f"{len(tests)} tests, {MAX_TESTS} are allowed", "keep the best")
    for number, test in enumerate(tests, 1):
        unknown = set(test) - {"args", "expect", "error", "host", "now"}
        if unknown:
            raise _refused("shape", f"test {number} has an unknown key `{unknown.pop()}`", how)
        if ("expect" in test) == ("error" in test):
            raise _refused("shape", f"test {number} needs either `expect` or `error`", how)
        try:
            _now_ns(test.get("now"))
        except ValueError as error:
            raise _refused(
                "shape",
                f"`now` of test {number} is no time: {error}",
                "write it like 2026-01-01T00:00:00Z",
            ) from error
    return tuple(tests)


def _now_ns(text: Any) -> int | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(str(text))
    if moment.tzinfo is None:
        raise ValueError("it has no zone")
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000


def _compare_value(test: Mapping[str, Any], got: Any) -> str:
    if "error" in test:
        return f"expected an error with `{test['error']}`, got {_shorten(got)}"
    if canonical_json(_plain(test["expect"])) == canonical_json(_plain(got)):
        return ""
    return f"expected {_shorten(test['expect'])}, got {_shorten(got)}"


def _compare_error(test: Mapping[str, Any], error: ToolFailed) -> str:
    wanted = test.get("error")
    if isinstance(wanted, str) and wanted in error.what:
        return ""
    at = f" at {error.where}" if error.where else ""
    if wanted is None:
        return f"expected {_shorten(test['expect'])}, failed{at}: {error.what}"
    return f"expected an error with `{wanted}`, failed{at}: {error.what}"


def _plain(value: Any) -> Any:
    """Bring numbers and empty tables to one form: 42.0 is 42, and `{}` may be either kind."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()} or []
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _shorten(value: Any) -> str:
    text = as_text(value)
    return text if len(text) <= 300 else text[:300] + "…"


def _refused(step: str, what: str, fix: str) -> DraftRefused:
    return DraftRefused(what, where=f"gate step {step}", fix=fix)


class _step:
    """Turn errors of lower parts into refusals that name the gate's step."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, MicroAgiError) and not isinstance(error, DraftRefused | PolicyDenied):
            where = f"gate step {self._name}" + (f", {error.where}" if error.where else "")
            raise DraftRefused(error.what, where=where, fix=error.fix) from error
