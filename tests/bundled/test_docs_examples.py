"""Every example of the documentation does in the real sandbox what the page says.

The convention is in the corpus' README: `-- run ARGS => RESULT` and its companions.
"""

import ast
import asyncio
import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from micro_agi.errors import ToolFailed
from micro_agi.registry.load import load_app
from micro_agi.sandbox.unit import Unit
from micro_agi.security.actor import Actor
from micro_agi.security.context import CallContext, Trial
from micro_agi.security.hosts import allow_policies, url_patterns
from micro_agi.security.policy import Scope
from micro_agi.testing.transcript import scripted_runtime
from micro_agi.tools.docs import Docs, bundled
from micro_agi.tools.functions import imports_of, modules_of

LIBRARIES = load_app(bundled().parent / "system", source="program").entries
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DIRECTIVE = re.compile(r"(?:--|#) (part$|later: run|run|modules|imports|hosts|host|now):? ?(.*)")


@dataclass(frozen=True, kw_only=True)
class Run:
    args: Any
    expect: Any = None
    error: str | None = None
    host: dict[str, Any] = field(default_factory=dict)
    now: str | None = None


@dataclass(frozen=True, kw_only=True)
class Example:
    place: str
    source: str
    runs: tuple[Run, ...] = ()
    modules: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    part: bool = False
    later: bool = False
    language: str = "lua"


def outcome(text: str) -> dict[str, Any]:
    """Read `ARGS => RESULT` or `ARGS => error "TEXT"`."""
    args, end = json.JSONDecoder().raw_decode(text)
    arrow, result = text[end : end + 4], text[end + 4 :]
    assert arrow == " => ", text
    if result.startswith("error "):
        return {"args": args, "error": json.loads(result.removeprefix("error "))}
    return {"args": args, "expect": json.loads(result)}


def words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def code_example(place: str, source: str, language: str) -> Example:
    lines: dict[str, list[str]] = {}
    for line in source.splitlines():
        found = DIRECTIVE.fullmatch(line)
        if not found:
            break
        lines.setdefault(found[1], []).append(found[2])
    host = json.loads(lines.get("host", ["{}"])[0])
    now = lines.get("now", [None])[0]
    runs = [outcome(text) for text in lines.get("run", []) + lines.get("later: run", [])]
    return Example(
        place=place,
        source=source,
        runs=tuple(Run(**run, host=host, now=now) for run in runs),
        modules=words(lines.get("modules", [""])[0]),
        hosts=words(lines.get("hosts", [""])[0]),
        imports=words(lines.get("imports", [""])[0]),
        part="part" in lines,
        later="later: run" in lines,
        language=language,
    )


def draft_example(place: str, draft: dict[str, Any]) -> Example:
    return Example(
        place=place,
        source=draft["source"],
        runs=tuple(Run(**test) for test in draft["tests"]),
        modules=tuple(draft.get("modules", ())),
        hosts=tuple(draft.get("hosts", ())),
        language=draft.get("language", "lua"),
    )


def all_examples() -> list[Example]:
    found = []
    for page in Docs().corpus.pages:
        for number, (language, text) in enumerate(FENCE.findall(page.body)):
            place = f"{page.path}#{number}"
            if language in ("lua", "python"):
                found.append(code_example(place, text, language))
            elif language == "json" and "source" in (draft := json.loads(text)):
                found.append(draft_example(place, draft))
    return found


EXAMPLES = all_examples()
WHOLE = [example for example in EXAMPLES if not example.part and not example.later]


@pytest.fixture(name="sandbox", scope="module")
def sandbox_fixture():
    """The pool of one runtime for all examples, with its event loop."""
    with asyncio.Runner() as runner:
        opened = scripted_runtime([], app="bundled")
        runtime = runner.run(opened.__aenter__()).runtime
        yield lambda coroutine: runner.run(coroutine(runtime.pool))
        runner.run(opened.__aexit__(None, None, None))


def context_of(example: Example, run: Run) -> CallContext:
    patterns = [p for host in example.hosts for p in url_patterns(host)]
    policies = [r for n, p in enumerate(patterns) for r in allow_policies(f"app:host{n}", p)]
    trial = Trial(host=run.host, now_ns=nanoseconds(run.now) if run.now else None)
    return CallContext(actor=Actor("agent:docs"), scope=Scope(tuple(policies)), trial=trial)


def call(sandbox, example: Example, run: Run) -> Any:
    unit, context = unit_of(example), context_of(example, run)
    return sandbox(lambda pool: pool.call(unit, [run.args], context=context))


def nanoseconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp()) * 1_000_000_000


def unit_of(example: Example) -> Unit:
    return Unit(
        id=f"docs:{example.place}",
        source=example.source,
        method=method_of(example),
        modules=example.modules,
        imports=tuple(
            (alias, library(target))
            for alias, _, target in (pair.partition("=") for pair in example.imports)
        ),
        language=example.language,
    )


def library(target: str) -> Unit:
    """A library of the runtime, as an import of it becomes a unit."""
    entry = next(e for e in LIBRARIES if e.id == target)
    return Unit(
        id=entry.id,
        source=entry.data["source"],
        modules=modules_of(entry),
        imports=tuple((alias, library(wanted)) for alias, wanted in imports_of(entry).items()),
    )


def method_of(example: Example) -> str:
    if example.language == "lua":
        return "handler"
    functions = [n.name for n in ast.parse(example.source).body if isinstance(n, ast.FunctionDef)]
    return "handler" if "handler" in functions else functions[-1]


@pytest.mark.parametrize("example", WHOLE, ids=lambda e: e.place)
def test_an_example_does_what_its_page_says(sandbox, example):
    assert example.runs
    for run in example.runs:
        if run.error is None:
            assert call(sandbox, example, run) == run.expect
        else:
            with pytest.raises(ToolFailed) as caught:
                call(sandbox, example, run)
            assert run.error in caught.value.what


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e not in WHOLE], ids=lambda e: e.place)
def test_a_part_and_an_example_for_later_parse(sandbox, example):
    # Inside a function that is never called, so that nothing of it runs.
    source = f"local function unused(args)\n{example.source}\nend\nreturn function() end"
    unit = Unit(id=f"docs:{example.place}", source=source, method="handler")
    sandbox(lambda pool: pool.check(unit))
    assert example.part or example.runs


def test_enough_examples_are_found():
    assert len(WHOLE) >= 33
    assert sum(len(example.runs) for example in WHOLE) >= 50
