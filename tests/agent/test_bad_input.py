"""What is wrong in an agent, and what its turn gets: a clear word, and it goes on.

One row for each line of issue 4's "Bad input, and what it gets"; resolvers, memories and
delegates in a circle have files of their own.
"""

import asyncio
import json

import pytest

from micro_agi.api import open_runtime
from micro_agi.errors import ProviderRefused, ProviderUnavailable
from micro_agi.llm.failure import provider_error
from micro_agi.llm.providers.scripted import Call, Finish, Thinking
from micro_agi.messages import Errored, LimitHit, StepFinished, ToolCallFinished, Warned
from micro_agi.registry.entry import from_dict
from micro_agi.sessions.conversation import CUT, EMPTY
from tests.agent.playing import agent, lua, playing, tool, trait, turn

BIG = 50 << 20
CUT_OFF = provider_error("network_error", "the reply broke off", retry_after_s=0)


def play(script, *entries, natives=(), mounted=(), agent_data=None, **settings):
    async def scenario():
        definition = agent("a", **(agent_data or {}))
        async with playing(script, definition, *entries, natives=natives, **settings) as played:
            played.runtime.registry.mount([from_dict(e) for e in mounted])
            finished, events = await turn(played.runtime)
            return finished, events, played.model.requests

    return asyncio.run(scenario())


def warnings(events):
    return [e.text for e in events if isinstance(e, Warned)]


def native_tool(name):
    meta = {"type": "tool", "llm_alias": name}
    data = {"target": name}
    return {"id": f"app.host:{name}", "kind": "function.native", "meta": meta, "data": data}


@pytest.mark.requirement("003/errors/unresolved")
def test_every_reference_that_does_not_resolve_is_one_warning_and_the_rest_works():
    data = {
        "tools": ["app:lok", "nothing:*", "app:look", 7],
        "traits": ["app:nothing"],
        "delegates": [{"id": "app:nobody", "name": "ask"}],
        "memory_contract": {"implementation_id": "app:no_memory"},
    }
    finished, events, (request,) = play(["fine"], tool("look"), agent_data=data)
    assert (finished.text, [t.name for t in request.tools]) == ("fine", ["look"])
    said = warnings(events)
    assert len(said) == 6
    fixes = [e.fix for e in events if isinstance(e, Warned)]
    assert all(fixes)
    assert any("app:look" in fix for fix in fixes), "the nearest name is in the fix"


@pytest.mark.requirement("003/errors/schema")
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "nonsense"}}},
        {"type": "object", "properties": {"a": {"$ref": "https://example.com/s.json"}}},
    ],
)
def test_a_tool_whose_schema_is_none_is_left_out_before_a_service_refuses_everything(schema):
    bad = {**tool("bad", input_schema=schema)}
    data = {"tools": ["app:bad", "app:look"]}
    finished, events, (request,) = play(["fine"], bad, tool("look"), agent_data=data)
    assert [t.name for t in request.tools] == ["look"]
    assert any("schema" in text for text in warnings(events)), warnings(events)
    assert finished.outcome == "answered"


@pytest.mark.requirement("003/errors/trait-function")
@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ({"tools": "app:look"}, "returned `tools` as a str"),
        ({"prompt": 7}, "returned `prompt` as a int"),
        ({"tols": []}, "returned `tols`, which is none of"),
        ("no map", "returned a str"),
    ],
)
def test_a_build_function_with_a_wrong_shape_is_a_warning(answer, what):
    async def build(arguments, _):
        return answer

    t = trait("t", prompt="T.", build_func_id="app:build")
    finished, events, (request,) = play(["fine"], t, natives=[build], agent_data={"traits": ["t"]})
    assert (finished.text, request.system) == ("fine", "You are a.\n\nT.")
    assert any(what in text for text in warnings(events)), warnings(events)


@pytest.mark.requirement("003/errors/memory-hangs")
def test_a_memory_that_hangs_is_a_warning_after_its_time():
    async def recall(request, _):
        await asyncio.Event().wait()

    contract = {
        "implementation_id": "app:recall",
        "options": {"timeout_s": 0.01, "min_conversation_length": 1},
    }
    finished, events, _ = play(["fine"], natives=[recall], agent_data={"memory_contract": contract})
    assert finished.text == "fine"
    assert "memory `app:recall` took longer than 0.01 s" in warnings(events)


@pytest.mark.requirement("003/errors/two-names")
def test_of_two_tools_with_one_name_the_first_stays_and_loading_the_other_is_an_error():
    other = lua("other", "return 2", llm_alias="look", llm_description="Another")
    data = {"tools": ["app:look", "app.tools:load_tool"]}
    script = [Call("load_tool", {"id": "app:other"}), "ok"]
    _, events, requests = play(script, tool("look"), other, agent_data=data)
    (result,) = [e for e in events if isinstance(e, ToolCallFinished)]
    assert "two tools are called `look`; `app:look` stays" in result.error["what"]
    assert {t.name: t.id for t in requests[1].tools}["look"] == "app:look"


@pytest.mark.requirement("003/errors/huge-result")
def test_a_result_of_50_mb_is_stored_and_shown_in_part():
    async def huge(_, __):
        return "x" * BIG

    data = {"tools": ["app.host:huge"]}
    finished, events, requests = play(
        [Call("huge"), "ok"], natives=[huge], mounted=[native_tool("huge")], agent_data=data
    )
    (result,) = [e for e in events if isinstance(e, ToolCallFinished)]
    assert len(result.content) < 64_000
    assert f"{BIG} bytes in all; result_handle" in result.content
    assert "read_result" in [t.name for t in requests[1].tools]
    assert finished.text == "ok"


@pytest.mark.requirement("003/errors/no-answer")
@pytest.mark.parametrize("nothing", ["", "  \n", [Thinking("hm")], [Finish("length")]])
def test_a_step_without_an_answer_is_told_and_tried_again(nothing):
    finished, _, requests = play([nothing, "there it is"])
    assert (finished.outcome, finished.text) == ("answered", "there it is")
    assert EMPTY in [m.text for m in requests[1].messages]


@pytest.mark.requirement("003/errors/no-answer")
def test_a_model_that_never_answers_fails_the_turn_with_its_reason():
    finished, events, requests = play([""] * 9)
    assert (finished.outcome, len(requests)) == ("failed", 3)
    (error,) = [e.error for e in events if isinstance(e, Errored)]
    assert "3 times with neither text nor a tool call" in error["what"]
    assert "max_tokens" in error["fix"]


@pytest.mark.requirement("003/errors/cut-stream")
@pytest.mark.parametrize("cut", [["The answer ", CUT_OFF], [Call("look"), CUT_OFF]])
def test_a_stream_cut_anywhere_does_not_kill_the_turn(cut):
    script = [cut, "is 42."]
    finished, _, _ = play(script, tool("look"), agent_data={"tools": ["app:look"]}, model_retries=1)
    shown = "The answer " if cut[0] == "The answer " else ""
    assert (finished.outcome, finished.text) == ("answered", f"{shown}is 42.")


@pytest.mark.requirement("003/errors/cut-stream")
def test_a_stream_cut_for_good_ends_the_turn_with_what_was_shown_and_can_go_on():
    """The half answer stays in the conversation; half a call is never run."""
    script = [["The answer ", Call("look"), CUT_OFF], CUT_OFF, "is 42."]

    async def scenario():
        uses = agent("a", tools=["app:look"])
        async with playing(script, tool("look"), uses, model_retries=1) as played:
            session, events = await played.runtime.session("s", agent="app:a"), []
            first = await session.run("tell me", events.append)
            session = await played.runtime.session("s")  # also after a restart
            second = await session.run("go on", events.append)
            return first, second, events, played.model.requests[-1].messages

    first, second, events, sent = asyncio.run(scenario())
    assert (first.outcome, first.text) == ("limit_reached", "The answer ")
    step = next(e for e in events if isinstance(e, StepFinished))
    assert (step.finish_reason, step.message.tool_calls) == ("cut", ())
    assert "broke off" in step.problem["what"]
    (hit,) = [e for e in events if isinstance(e, LimitHit)]
    assert hit == LimitHit(limit="model retries", value=1, unit="tries")
    assert [e for e in events if isinstance(e, ToolCallFinished)] == []
    assert [(m.role, m.text) for m in sent] == [
        ("user", "tell me"),
        ("assistant", "The answer "),
        ("developer", CUT),
        ("user", "go on"),
    ]
    assert (second.outcome, second.text) == ("answered", "is 42.")


def test_a_service_that_refuses_to_go_on_fails_the_turn_and_keeps_what_was_shown():
    script = [["The answer ", CUT_OFF], ProviderRefused("no credit left", fix="add credit")]
    finished, events, _ = play(script, model_retries=1)
    assert (finished.outcome, finished.text) == ("failed", "The answer ")
    assert [e.error["what"] for e in events if isinstance(e, Errored)] == ["no credit left"]


@pytest.mark.requirement("003/errors/malformed-call")
@pytest.mark.parametrize("arguments", ['{"a": ', "[1]", "nonsense", "null", '"text"'])
def test_a_malformed_call_is_an_error_to_the_model_and_never_an_empty_answer(arguments):
    script = [Call("look", arguments), "I see."]
    finished, events, _ = play(script, tool("look"), agent_data={"tools": ["app:look"]})
    (result,) = [e for e in events if isinstance(e, ToolCallFinished)]
    assert result.error["code"] == "arguments.invalid"
    assert json.loads(result.content)["error"]["fix"]
    assert finished.text == "I see."


@pytest.mark.requirement("003/errors/malformed-call")
@pytest.mark.parametrize(
    ("then", "outcome"),
    [
        (lambda n: Call("look", '{"a": '), "limit_reached"),  # the same again and again
        (lambda n: Call("look", f'{{"a{n}": '), "limit_reached"),  # another one each time
        (lambda n: "" if n else Call("look", "[1]"), "failed"),  # and then nothing
        (lambda n: [Call("look", "{"), Finish("length")], "limit_reached"),  # all of them cut
    ],
)
def test_a_model_that_makes_only_malformed_calls_never_ends_in_an_empty_answer(then, outcome):
    finished, events, _ = play(
        lambda asked: then(asked.number),
        tool("look"),
        agent_data={"tools": ["app:look"]},
        max_steps=12,
    )
    assert finished.outcome == outcome
    assert any(isinstance(e, LimitHit | Errored) for e in events)


APP = """
namespace: app
entries:
  - name: a
    kind: registry.entry
    meta: {type: agent.gen1}
    prompt: Static.
    traits: [app:t]
  - name: t
    kind: registry.entry
    meta: {type: agent.trait}
    prompt: Also static.
    build_func_id: app:build
  - name: build
    kind: function.lua
    source: "return { handler = function() return { prompt = 'ran' } end }"
    method: handler
"""


def test_of_an_app_that_nobody_trusts_no_function_runs_when_an_agent_is_shown(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "_index.yaml").write_text(APP, "utf-8")

    async def scenario():
        home = str(tmp_path / "home")
        async with open_runtime(app=str(tmp_path), home=home) as rt:
            before = await rt.agent_context().compiled("app:a")
            rt.trust()
            return before, await rt.agent_context().compiled("app:a")

    before, after = asyncio.run(scenario())
    assert before.system == "Static.\n\nAlso static."
    assert "this app is not trusted" in before.warnings[0].text
    assert (after.system, after.warnings) == ("Static.\n\nAlso static.\n\nran", ())


def test_a_service_that_stays_away_fails_the_turn_and_the_session_goes_on():
    away = ProviderUnavailable("nobody there")

    async def scenario():
        async with playing([away, "back"], agent("a"), model_retries=0) as played:
            session = await played.runtime.session("s", agent="app:a")
            outcomes = [await session.run(text, lambda _: None) for text in ("1", "2")]
            return [(o.outcome, o.text) for o in outcomes]

    assert asyncio.run(scenario()) == [("failed", ""), ("answered", "back")]
