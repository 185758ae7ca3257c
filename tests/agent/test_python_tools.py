"""Python tools through the one gate: made, loaded, used, refused as Lua tools are."""

import asyncio
import json

import pytest

from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import ToolCallFinished, ToolCreated
from micro_agi.testing.transcript import run_transcript, scripted_runtime

MEAN = {
    "name": "mean",
    "description": "Average numbers",
    "language": "python",
    "source": '''
import statistics

def mean(values: list[float], digits: int | None = None) -> float:
    """Average numbers.

    Args:
        values: The numbers.
    """
    print("averaging", len(values))
    result = statistics.mean(values)
    return result if digits is None else round(result, digits)
''',
    "modules": ["statistics", "json"],
    "tests": [
        {"args": {"values": [1, 2]}, "expect": 1.5},
        {"args": {"values": []}, "error": "mean requires at least one data point"},
    ],
}
ID = "app.generated:mean"


def play(script, *messages, check=None, **options):
    async def scenario():
        async with scripted_runtime(script, **options) as played:
            turns = await run_transcript(played.runtime, *messages, session="s")
            return turns, await check(played.runtime) if check else None

    return asyncio.run(scenario())


def results(draft, *calls):
    script = [Call("create_tool", draft), Call("load_tool", {"id": ID}), *calls, "done"]
    [turn], _ = play(script, "go")
    return turn.of(ToolCallFinished)


def refusal(**changes):
    [turn], _ = play([Call("create_tool", {**MEAN, **changes}), "done"], "go")
    (result,) = turn.of(ToolCallFinished)
    assert result.error is not None, result.content
    return result.error


def test_a_python_tool_is_made_tried_loaded_and_used_in_one_turn():
    async def look(runtime):
        return runtime.registry.get(ID)

    script = [
        Call("create_tool", MEAN),
        Call("load_tool", {"id": ID}),
        Call("mean", {"values": [1, 2, 6]}),
        "It is 3.",
    ]
    [turn], entry = play(script, "average", check=look)
    assert turn.lines == [
        *("[create_tool] ok", "[load_tool] ok", f"[+] {ID}", "[mean] ok", "It is 3."),
    ]
    assert turn.of(ToolCreated)[0].report["tests"] == {"passed": 2, "untested": False}
    assert entry.kind == "function.python"
    assert entry.data["method"] == "mean"
    assert entry.data["modules"] == []
    schema = entry.meta["input_schema"]
    assert schema["required"] == ["values"]
    assert schema["properties"]["values"]["description"] == "The numbers."
    assert schema["properties"]["digits"]["anyOf"] == [{"type": "integer"}, {"type": "null"}]


def test_what_it_printed_stands_beside_the_result():
    *_, used = results(MEAN, Call("mean", {"values": [1, 3]}))
    assert used.content.startswith(("2\n\nprinted:\naveraging 2", "2.0\n\nprinted:\naveraging 2"))
    assert used.result == 2


def test_a_failure_shows_type_message_line_traceback_and_prints():
    *_, used = results(MEAN, Call("mean", {"values": []}))
    error = json.loads(used.content)["error"]
    assert "StatisticsError: mean requires at least one data point" in error["what"]
    assert error["where"].startswith(f"{ID}:11")
    assert "result = statistics.mean(values)" in error["traceback"]
    assert error["printed"] == "averaging 0\n"


def test_a_handler_with_a_schema_works_like_in_lua():
    source = "def handler(args):\n    return args['values'][0]"
    schema = {"type": "object", "properties": {"values": {"type": "array"}}}
    draft = {**MEAN, "source": source, "input_schema": schema, "tests": []}
    *_, used = results(draft, Call("mean", {"values": [7]}))
    assert used.result == 7


def test_a_tool_keeps_its_language():
    lua = {
        "name": "mean",
        "description": "Average",
        "source": "return { handler = function(a) return 1.5 end }",
        "input_schema": {"type": "object", "properties": {"values": {"type": "array"}}},
    }
    [turn], _ = play([Call("create_tool", lua), Call("create_tool", MEAN), "done"], "go")
    error = turn.of(ToolCallFinished)[1].error
    assert "is a function.lua, and a tool keeps its language" in error["what"]
    assert "another name" in error["fix"]


@pytest.mark.parametrize(
    ("changes", "where", "part"),
    [
        ({"source": "def mean(:"}, "source", "line 1: invalid syntax (rule `syntax`)"),
        ({"source": "def other(): pass"}, "source", "no function `mean` or `handler`"),
        ({"source": "def mean(x): pass"}, "source", "(rule `docstring`)"),
        ({"source": "import os\n" + MEAN["source"]}, "source", "line 1: tools may not import `os`"),
        ({"source": MEAN["source"] + "\n1 / 0"}, "source", "ZeroDivisionError"),
        ({"modules": ["htp_client"]}, "grants", "module `htp_client` is not one that tools"),
        ({"modules": ["http_client"]}, "grants", "must say where it wants to go"),
        ({"tests": [{"args": {"values": [1]}, "expect": 2}]}, "trial", "expected 2, got 1"),
        ({"language": "ruby"}, "shape", ""),
        ({"source": "x" * 17_000}, "shape", "17000 characters"),
    ],
)
def test_a_draft_that_cannot_work_is_refused_at_its_step(changes, where, part):
    error = refusal(**changes)
    assert part in error["what"]
    if part:
        assert error["where"].startswith(f"gate step {where}")
        assert error["fix"]


FETCH = {
    "name": "mean",
    "description": "Fetch",
    "language": "python",
    "source": '''
import http_client
def mean(url: str) -> int:
    """Fetch a number."""
    return http_client.get(url).json()["n"]
''',
    "modules": ["http_client"],
    "hosts": ["https://api.example.com/*"],
}


def test_a_trial_answers_for_the_network():
    url = "https://api.example.com/x"
    canned = {"http_client.get": {"status_code": 200, "body": '{"n": 5}'}}
    tested = {**FETCH, "tests": [{"args": {"url": url}, "expect": 5, "host": canned}]}
    created, *_ = results(tested)
    assert json.loads(created.content)["tests"]["passed"] == 1
    untested = {**FETCH, "tests": [{"args": {"url": url}, "expect": 5}]}
    refused, *_ = results(untested)
    assert "not available in a trial" in refused.error["what"]


def test_a_host_that_nobody_allowed_is_refused():
    *_, used = results(FETCH, Call("mean", {"url": "https://other.example.com/x"}))
    assert "may not request `https://api.example.com/*`" in used.error["what"]
