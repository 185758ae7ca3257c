"""The job: an agent that lacks a tool makes one, loads it, uses it, in one turn."""

import asyncio
import json
import os

import pytest

from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import ToolCallFinished, ToolCreated, ToolLoaded
from micro_agi.testing.transcript import run_transcript, scripted_runtime

DOUBLE = {
    "name": "double",
    "description": "Double a number",
    "source": "local function handler(a) return a.n * 2 end\nreturn { handler = handler }",
    "input_schema": {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]},
    "tests": [{"args": {"n": 4}, "expect": 8}],
}
ID = "app.generated:double"
MAKE = [Call("create_tool", DOUBLE), Call("load_tool", {"id": ID})]


def play(script, *messages, check=None, session="s", **options):
    async def scenario():
        async with scripted_runtime(script, **options) as played:
            turns = await run_transcript(played.runtime, *messages, session=session)
            checked = await check(played.runtime) if check else None
            return turns, played.model.requests, checked

    return asyncio.run(scenario())


def error_of(draft):
    """What the model is told about a draft."""
    script = [Call("create_tool", draft), "done"]
    [turn], _, _ = play(script, "make it", call_timeout_s=0.5)
    (result,) = turn.of(ToolCallFinished)
    return result.error


@pytest.mark.requirement(
    *("000/architecture/one-turn", "000/build/builds-tools", "000/loop/reload"),
    *("000/loop/next-step", "000/run/tool-lines", "000/policies/generated"),
)
def test_a_missing_tool_is_made_loaded_and_used_in_one_turn():
    script = [
        Call("doc_search", {"query": "arithmetic"}),
        *MAKE,
        Call("double", {"n": 21}),
        "It is 42.",
    ]
    [turn], requests, _ = play(script, "double 21")
    assert turn.lines == [
        *("[doc_search] ok", "[create_tool] ok", "[load_tool] ok"),
        *("[+] app.generated:double", "[double] ok", "It is 42."),
    ]
    assert requests[-1].messages[-1].text == "42"
    assert "double" not in [t.name for t in requests[2].tools]
    assert "double" in [t.name for t in requests[3].tools]


@pytest.mark.requirement("000/loop/conversation")
def test_the_conversation_survives_the_reload():
    _, requests, _ = play([*MAKE, "done"], "remember whales")
    assert requests[-1].messages[0].text == "remember whales"


@pytest.mark.requirement(
    "000/architecture/tools-are-entries", "000/create/entry", "000/create/no-files"
)
def test_the_tool_is_an_entry_with_its_source_and_nothing_on_disk(tmp_path):
    async def look(runtime):
        return runtime.registry.get(ID), runtime.registry.history.of_entry(ID)

    [turn], _, (entry, history) = play([*MAKE, "done"], "go", check=look, home=str(tmp_path))
    assert entry.kind == "function.lua"
    assert entry.meta["type"] == "tool"
    assert entry.meta["llm_alias"] == "double"
    assert entry.meta["llm_description"] == "Double a number"
    assert entry.data["source"] == DOUBLE["source"]
    assert entry.data["method"] == "handler"
    (revision,) = history
    assert revision.version.actor == "agent:app:dev_assistant"
    assert revision.version.session == "s"
    assert turn.of(ToolCreated)[0].report["tests"] == {"passed": 1, "untested": False}
    files = [f for _, _, names in os.walk(tmp_path) for f in names]
    assert not [f for f in files if f.endswith(".lua") or "double" in f]


@pytest.mark.requirement("000/run/tools-stay")
def test_a_tool_made_in_one_process_is_there_in_the_next(tmp_path):
    play([*MAKE, "done"], "go", home=str(tmp_path))
    script = [Call("load_tool", {"id": ID}), Call("double", {"n": 5}), "10"]
    [turn], _, _ = play(script, "double 5", home=str(tmp_path), session="another")
    assert turn.lines == ["[load_tool] ok", f"[+] {ID}", "[double] ok", "10"]


def test_a_loaded_tool_is_still_loaded_when_the_session_goes_on(tmp_path):
    play([*MAKE, "done"], "go", home=str(tmp_path))
    [turn], _, _ = play([Call("double", {"n": 6}), "12"], "double 6", home=str(tmp_path))
    assert turn.lines == ["[double] ok", "12"]


@pytest.mark.requirement("000/create/update")
def test_an_update_replaces_the_tool_and_a_rollback_restores_it_at_once():
    triple = {
        **DOUBLE,
        "source": DOUBLE["source"].replace("* 2", "* 3"),
        "tests": [{"args": {"n": 0}, "expect": 0}],
    }
    first = {**DOUBLE, "tests": []}

    async def roll_back(runtime):
        async def call():
            return await runtime.call(ID, {"n": 10})

        updated = await call()
        (one, _two) = runtime.registry.history.of_entry(ID)
        await runtime.registry.rollback(ID, to=one.version.id, context=runtime.root())
        return updated, await call()

    script = [Call("create_tool", first), Call("create_tool", triple), "done"]
    [turn], _, results = play(script, "go", check=roll_back)
    assert [e.updated for e in turn.of(ToolCreated)] == [False, True]
    assert results == (30, 20)


def test_an_update_must_pass_the_tests_of_what_it_replaces():
    worse = {**DOUBLE, "source": DOUBLE["source"].replace("* 2", "* 3"), "tests": []}
    [turn], _, _ = play([Call("create_tool", DOUBLE), Call("create_tool", worse), "done"], "go")
    error = turn.of(ToolCallFinished)[1].error
    assert error["code"] == "draft.refused"
    assert "tests of the version it replaces failed" in error["what"]


def test_an_update_keeps_the_tests_it_passed_so_none_is_lost_on_the_way():
    other = {**DOUBLE, "description": "Twice", "tests": [{"args": {"n": 0}, "expect": 0}]}
    worse = {**other, "source": DOUBLE["source"].replace("* 2", "* 3"), "tests": []}
    script = [Call("create_tool", d) for d in (DOUBLE, other, worse)]
    [turn], _, _ = play([*script, "done"], "go")
    _, second, third = turn.of(ToolCallFinished)
    assert json.loads(second.content)["tests"]["passed"] == 2
    assert "tests of the version it replaces failed" in third.error["what"]


def test_the_same_draft_again_changes_nothing_and_says_so():
    [turn], _, _ = play([Call("create_tool", DOUBLE)] * 2 + ["done"], "go")
    results = [json.loads(e.content) for e in turn.of(ToolCallFinished)]
    assert [r["unchanged"] for r in results] == [False, True]
    assert len(turn.of(ToolCreated)) == 1


@pytest.mark.parametrize(
    ("change", "code", "what"),
    [
        ({"name": "a:b"}, "arguments.invalid", "$.name"),
        ({"source": "x" * 16_001}, "draft.refused", "16001 characters"),
        ({"modules": ["os"]}, "draft.refused", "module `os` is not one"),
        ({"modules": ["registry"]}, "draft.refused", "module `registry` is not one"),
        ({"source": "return {"}, "draft.refused", "unexpected symbol near <eof>"),
        ({"source": "return 7"}, "draft.refused", "handler"),
        ({"name": "load_tool"}, "policy.denied", "belongs to `app.tools:load_tool`"),
        ({"input_schema": {"type": "objekt"}}, "draft.refused", "JSON Schema"),
        ({"input_schema": {"$ref": "http://127.0.0.1/x"}}, "draft.refused", "another document"),
        ({"tests": [{"args": {"n": 1}, "expect": 3}]}, "draft.refused", "expected 3, got 2"),
        ({"tests": [{"args": {}}]}, "draft.refused", "either `expect` or `error`"),
        ({"hosts": ["*"], "modules": ["http_client"]}, "draft.refused", "no URL pattern"),
        ({"modules": ["http_client"]}, "draft.refused", "must say where"),
        ({"source": "while true do end", "tests": []}, "draft.refused", "stopped"),
        (
            {"source": "return { handler = function() os.execute('x') end }"},
            "draft.refused",
            "`os.execute` does not exist",
        ),
        (
            {
                "source": "return { handler = function() return time.nowz() end }",
                "modules": ["time"],
            },
            "draft.refused",
            "line 1: `time.nowz` does not exist",
        ),
    ],
)
@pytest.mark.requirement(
    *("000/create/name-length", "000/create/source-length", "000/create/modules"),
    "000/create/blocked",
)
def test_a_bad_draft_is_refused_with_what_to_do(change, code, what):
    error = error_of({**DOUBLE, **change})
    assert (error["code"], what in error["what"]) == (code, True), error
    assert error["fix"]


def test_a_long_name_is_refused():
    assert error_of({**DOUBLE, "name": "a" * 65})["code"] == "arguments.invalid"


def test_a_bomb_in_a_draft_costs_the_draft_and_nothing_else():
    bomb = "return { handler = function() local s = 'x' while true do s = s .. s end end }"
    error = error_of({**DOUBLE, "source": bomb})
    assert "memory" in error["what"]


def test_a_result_of_a_hundred_megabytes_is_a_limit():
    big = {
        **DOUBLE,
        "source": "return { handler = function() return ('x'):rep(100e6 // 1 | 0) end }",
    }
    [turn], _, _ = play(
        [
            Call("create_tool", {**big, "tests": []}),
            Call("load_tool", {"id": ID}),
            Call("double", {"n": 1}),
            "x",
        ],
        "go",
    )
    result = turn.of(ToolCallFinished)[-1]
    assert result.error["code"] == "limit.reached"


def test_a_long_result_is_shown_in_part_and_can_be_paged():
    lines = "local t = {} for i = 1, 9000 do t[i] = 'line ' .. i end return table.concat(t, '\\n')"
    long = {**DOUBLE, "tests": [], "source": f"return {{ handler = function() {lines} end }}"}

    def script(asked):
        last = asked.last.text
        if asked.number < 3:
            return [
                Call("create_tool", long),
                Call("load_tool", {"id": ID}),
                Call("double", {"n": 1}),
            ][asked.number]
        if "result_handle" in last and asked.last.name == "double":
            handle = last.split("result_handle ")[1][:16]
            return Call("read_result", {"handle": handle, "offset": 40_000})
        return "read"

    [turn], requests, _ = play(script, "go")
    assert turn.finished.text == "read"
    page = json.loads(requests[-1].messages[-1].text)
    assert page["offset"] == 40_000
    assert "line 4" in page["text"]
    assert [e.tool for e in turn.of(ToolLoaded)] == [ID, "system:read_result"]


@pytest.mark.requirement("000/load/not-found")
def test_loading_what_is_not_there_is_an_error():
    [turn], _, _ = play([Call("load_tool", {"id": "app.generated:nothing"}), "no"], "go")
    assert turn.lines[0].startswith("[load_tool] error: entry not found: app.generated:nothing")


@pytest.mark.requirement("000/load/not-a-tool")
def test_loading_what_is_no_tool_is_refused():
    [turn], _, _ = play([Call("load_tool", {"id": "app:dev_assistant"}), "no"], "go")
    assert turn.lines[0] == "[load_tool] error: not a tool (meta.type != 'tool'): app:dev_assistant"


@pytest.mark.requirement("000/load/result")
def test_loading_tells_the_id_the_alias_and_the_description():
    [turn], _, _ = play([*MAKE, "done"], "go")
    value = json.loads(turn.of(ToolCallFinished)[1].content)
    assert value == {"loaded": True, "id": ID, "alias": "double", "description": "Double a number"}


@pytest.mark.requirement(
    *("000/build/searches-docs", "000/doc-search/page", "000/doc-search/query"),
    *("000/doc-search/neither", "000/doc-search/truncated"),
)
def test_documentation_is_found_by_path_and_by_question():
    calls = [
        Call("doc_search", {"path": "lua/core/time"}),
        Call("doc_search", {"query": "how do I fetch a web page"}),
        Call("doc_search", {}),
        Call("doc_search", {"path": "lua/core/tyme"}),
    ]
    [turn], _, _ = play([*calls, "done"], "go")
    page, found, neither, unknown = turn.of(ToolCallFinished)
    assert "time.now" in json.loads(page.content)["content"]
    assert len(json.loads(page.content)["content"].encode()) < 8_200
    assert "http" in json.loads(found.content)["results"]
    assert neither.error["what"] == "provide either 'path' or 'query'"
    assert "lua/core/time" in unknown.error["fix"]


@pytest.mark.requirement("000/build/inspects-registry", "000/agent/wildcard")
def test_the_registry_is_listed_and_read():
    calls = [
        Call("registry_list", {"namespace": "app.tools"}),
        Call("registry_read", {"id": "app:dev_assistant"}),
    ]
    [turn], requests, _ = play([*calls, "done"], "go")
    listed, read = (json.loads(e.content) for e in turn.of(ToolCallFinished))
    five = ["create_tool", "doc_search", "load_tool", "registry_list", "registry_read"]
    assert [e["id"] for e in listed["entries"]] == [f"app.tools:{n}" for n in five]
    assert [t.name for t in requests[0].tools] == five
    assert read["data"]["tools"] == ["app.tools:*"]
