"""The whole turn against an OpenAI-compatible server at a base URL, and what its faults do."""

import asyncio
import json
from itertools import pairwise

import pytest

from micro_agi.app import Parts, Runtime
from micro_agi.errors import InputInvalid
from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import Errored, Warned
from micro_agi.settings import load
from micro_agi.testing.model_server import Fault, Reply, ScriptedServer
from micro_agi.testing.transcript import assert_replays, run_transcript

DRAFT = {
    "name": "greet",
    "description": "Greet",
    "source": "return { handler = function(a) return 'hello ' .. a.who end }",
    "input_schema": {"type": "object", "properties": {"who": {"type": "string"}}},
    "tests": [{"args": {"who": "x"}, "expect": "hello x"}],
}


def play(tmp_path, script, *messages, key="", **settings):
    async def scenario():
        async with ScriptedServer(script, key=key) as server:
            flags = {
                "home": str(tmp_path / "home"),
                "base_url": server.base_url,
                "model": "scripted-model",
                "model_retries": 1,
                **settings,
            }
            parts = Parts(offline=True)
            async with await Runtime.open(load(flags=flags), parts=parts) as runtime:
                turns = await run_transcript(runtime, *messages)
                await assert_replays(runtime)
                return turns, [r.body for r in server.received]

    return asyncio.run(scenario())


def calling(name, arguments):
    return Reply(calls=(Call(name, arguments),))


def test_a_local_model_that_writes_its_calls_as_text_extends_itself_too(tmp_path):
    def tag(name, arguments):
        return Reply(text=f'<tool name="{name}">{json.dumps(arguments)}</tool>')

    script = [
        tag("create_tool", DRAFT),
        Reply(text='Now <tool name="load_tool">{"id": "app.generated:greet"'),
        tag("load_tool", {"id": "app.generated:greet"}),
        Reply(text='```python\ngreet(who="you")\n```'),
        Reply(text="hello you"),
    ]
    [turn], bodies = play(tmp_path, script, "greet me")
    assert turn.lines[0] == "[create_tool] ok"
    assert "never closed" in turn.lines[1]
    assert turn.lines[2:] == [
        *("[load_tool] ok", "[+] app.generated:greet", "[greet] ok"),
        "hello you",
    ]
    assert [m["role"] for m in bodies[-1]["messages"][-2:]] == ["assistant", "tool"]


@pytest.mark.requirement("000/agent/definition", "000/agent/max-tokens", "000/run/command")
def test_the_self_extending_turn_runs_against_any_compatible_server(tmp_path):
    script = [
        calling("create_tool", DRAFT),
        calling("load_tool", {"id": "app.generated:greet"}),
        calling("greet", {"who": "you"}),
        Reply(text=("hello ", "you")),
    ]
    [turn], bodies = play(tmp_path, script, "greet me")
    assert turn.lines == [
        *("[create_tool] ok", "[load_tool] ok", "[+] app.generated:greet", "[greet] ok"),
        "hello you",
    ]
    assert turn.shown == "hello you"
    assert {b["max_tokens"] for b in bodies} == {2048}
    assert [t["function"]["name"] for t in bodies[3]["tools"]][-2:] == [
        "registry_list",
        "registry_read",
    ]
    assert json.loads(bodies[1]["messages"][-1]["content"])["created"] is True


def test_history_is_sent_byte_for_byte_as_before(tmp_path):
    script = [calling("doc_search", {"query": "time"}), Reply(text="one"), Reply(text="two")]
    _, bodies = play(tmp_path, script, "first", "second")
    for before, after in pairwise(bodies):
        assert after["messages"][: len(before["messages"])] == before["messages"]


@pytest.mark.parametrize(
    ("fault", "code", "what"),
    [
        (Fault(status=401, message="bad key"), "provider.refused", "bad key"),
        (Fault(status=500), "provider.unavailable", "the server has a problem"),
        (Fault(status=429, message="slow down", retry_after="0"), "provider.unavailable", "slow"),
        (Fault(kind="cut", after=0), "provider.unavailable", ""),
        (Fault(kind="not_json"), "provider.unavailable", ""),
    ],
)
def test_a_fault_that_stays_fails_the_turn_with_words_and_the_session_goes_on(
    tmp_path, fault, code, what
):
    tries = 1 if fault.status == 401 and fault.kind == "status" else 2
    turns, _ = play(tmp_path, [*[fault] * tries, Reply(text="better")], "one", "two")
    assert turns[0].finished.outcome == "failed"
    (error,) = turns[0].of(Errored)
    assert error.error["code"] == code
    assert what in error.error["what"]
    assert error.error["fix"]
    assert turns[1].finished.text == "better"


def test_a_key_that_a_server_repeats_is_shown_to_nobody(tmp_path):
    fault = Fault(status=401, message="the key sk-canary-99 is wrong")
    [turn], _ = play(tmp_path, [fault], "hi", api_key="sk-canary-99")
    assert turn.of(Errored)[0].error["what"].count("***") == 1
    assert "sk-canary" not in repr(turn.events)
    stored = b"".join(f.read_bytes() for f in (tmp_path / "home").rglob("*") if f.is_file())
    assert b"sk-canary" not in stored


def test_a_passing_fault_is_tried_again_and_says_so(tmp_path):
    fault = Fault(status=429, message="slow down", retry_after="0")
    [turn], _ = play(tmp_path, [fault, Reply(text="there")], "hi")
    assert turn.finished.text == "there"
    assert any("trying again" in w.text for w in turn.of(Warned))


def test_half_a_tool_call_is_never_run(tmp_path):
    half = Fault(kind="half_call", reply=calling("create_tool", DRAFT), after=2)
    [turn], _ = play(tmp_path, [half, Reply(text="never mind")], "go")
    assert turn.lines == ["never mind"]


def test_malformed_arguments_go_back_to_the_model(tmp_path):
    [turn], bodies = play(tmp_path, [calling("create_tool", "{oops"), Reply(text="sorry")], "go")
    assert turn.lines[0].startswith("[create_tool] error: the arguments of `create_tool` are not")
    assert "not JSON" in bodies[1]["messages"][-1]["content"]
    assert turn.finished.text == "sorry"


def test_a_server_that_is_not_there_fails_the_turn(tmp_path):
    async def scenario():
        async with ScriptedServer([]) as server:
            url = server.base_url
        flags = {"home": str(tmp_path), "base_url": url, "model": "m", "model_retries": 0}
        async with await Runtime.open(load(flags=flags), parts=Parts(offline=True)) as runtime:
            (turn,) = await run_transcript(runtime, "hi")
            return turn

    turn = asyncio.run(scenario())
    assert turn.finished.outcome == "failed"
    assert turn.of(Errored)[0].error["code"] == "provider.unavailable"


def test_without_any_model_the_three_ways_to_get_one_are_explained(tmp_path):
    async def scenario():
        flags = {"home": str(tmp_path), "local_ports": "1"}
        async with await Runtime.open(load(flags=flags), parts=Parts(offline=True)) as runtime:
            session = await runtime.session(None)
            with pytest.raises(InputInvalid) as refused:
                await session.run("hi", lambda _: None)
            return refused.value

    error = asyncio.run(scenario())
    assert error.exit_code == 2
    for way in ("OPENAI_API_KEY", "--base-url", "micro-agi demo"):
        assert way in error.fix


@pytest.mark.requirement("000/models/thinking", "000/models/two")
def test_the_model_entry_decides_thinking_window_and_price(tmp_path):
    usage = {"prompt": 1_000_000, "completion": 0, "cached": 0, "thinking": 0}
    script = [Reply(text="hi", usage=usage)]
    [turn], bodies = play(tmp_path, script, "hi", model="gpt-5.1")
    assert bodies[0]["reasoning_effort"] == "low"
    assert bodies[0]["max_completion_tokens"] == 2048
    assert turn.finished.cost_usd == 2.5
