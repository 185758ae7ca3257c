"""The gate: from a draft tool to a versioned entry in the registry.

Six steps in this order, each refusal an error that the model can act on: shape (read by
`tools.draft`), policy, grants, source, trial, write (DESIGN 8). The gate adds authority to
nothing: the registry's door asks the policy again at the write, and the worker confines
whatever passed.

`create_tool`, `micro-agi tool create FILE` and promoted skills all come through here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from micro_agi.errors import EntryInvalid, EntryNotFound, PolicyDenied, ToolFailed
from micro_agi.registry.entry import Entry
from micro_agi.registry.registry import Registry
from micro_agi.registry.seen import seen_by
from micro_agi.sandbox.pool import Pool
from micro_agi.security.actor import Actor
from micro_agi.security.context import CallContext, Trial
from micro_agi.security.policy import Scope, denial
from micro_agi.tools import lua_source, python_source
from micro_agi.tools.approve import declared_hosts
from micro_agi.tools.call import as_text
from micro_agi.tools.draft import (
    KINDS,
    Draft,
    Tests,
    gate_step,
    now_ns,
    parse_draft,
    refused,
    tests_of,
)
from micro_agi.tools.functions import Functions, check_generated_modules
from micro_agi.tools.resolve import visible_name
from micro_agi.values import canonical_json

FINDINGS = {"lua": lua_source.findings, "python": python_source.findings}


class Created(Struct, frozen=True, kw_only=True):
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
            raise refused(
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
        with gate_step("grants"):
            check_generated_modules(draft.id, draft.modules, KINDS[draft.language])
            declared_hosts(entry)
        if draft.hosts and "http_client" not in draft.modules:
            raise refused(
                "grants",
                "`hosts` are of no use without module `http_client`",
                'add "http_client" to `modules`, or leave `hosts` out',
            )
        if "http_client" in draft.modules and not draft.hosts:
            raise refused(
                "grants",
                "a tool with `http_client` must say where it wants to go",
                '`hosts` is a list of URL patterns: ["https://api.example.com/*"]',
            )

    async def _check_source(self, draft: Draft, entry: Entry) -> None:
        with gate_step("source"):
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
            raise refused(
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
            raise refused(
                "trial",
                f"{len(own_failures)} of {len(given)} tests failed: " + "; ".join(own_failures[:5]),
                "correct the source, or the test if it expects the wrong thing",
            )
        old_failures = await self.run_tests(unit, kept, context)
        if old_failures:
            raise refused(
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
            trial = Trial(host=test.get("host") or {}, now_ns=now_ns(test.get("now")))
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
