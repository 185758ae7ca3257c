"""One step of a runner: its order, its options, what it returns and counts."""

import asyncio

import pytest

from micro_agi.api import Prompt
from micro_agi.errors import InputInvalid
from micro_agi.llm.providers.scripted import Call, Finish, Spent, Thinking
from micro_agi.messages import TextDelta, ThinkingDelta, Usage
from tests.agent.playing import agent, playing, tool, trait

TALK = Prompt().add_user("hello").add_assistant("hi").add_user("and now?")


def step(script, *entries, natives=(), agent_data=None, prompt=TALK, count=1, **options):
    """Run steps of `app:a`; return the last response, the runner and all requests."""

    async def scenario():
        definition = agent("a", **(agent_data or {}))
        async with playing(script, definition, *entries, natives=natives) as played:
            runner = await played.runtime.agent_context().load_agent("app:a")
            for _ in range(count):
                response = await runner.step(prompt, **options)
            return response, runner, played.model.requests

    return asyncio.run(scenario())


@pytest.mark.requirement("003/step/order", "003/step/context")
def test_a_step_asks_prompt_functions_then_step_functions_then_memory_then_the_model():
    order = []

    async def prompt_fn(_, context):
        order.append(("prompt", context.values["who"], context.values["agent_id"]))
        return "P!"

    async def step_fn(_, context):
        order.append(("step", context.values["who"], context.values["mine"]))

    async def recall(request, context):
        order.append(("memory", context.values["who"], request["previous_memories"]))
        return {"memories": [{"id": "m1", "content": "likes tea"}]}

    def script(asked):
        order.append(("model", asked.request.system, asked.last.text))
        return "fine"

    t = trait(
        "t",
        prompt_func_id="app:prompt_fn",
        step_func_id="app:step_fn",
        context={"who": "trait", "mine": 1},
    )
    data = {"traits": ["t"], "memory_contract": {"implementation_id": "app:recall"}}
    response, _, _ = step(
        script,
        t,
        natives=[prompt_fn, step_fn, recall],
        agent_data=data,
        context={"who": "step"},
        previous_memory_ids=["m0"],
    )
    memory = "Relevant context from your memory:\n\n- likes tea"
    assert order == [
        ("prompt", "step", "app:a"),
        ("step", "step", 1),
        ("memory", "step", ["m0"]),
        ("model", "You are a.\n\nP!", memory),
    ]
    assert response.memory_recall == {"memory_ids": ["m1"], "count": 1}
    assert response.memory_prompt.role == "developer"
    assert len(TALK.messages) == 3, "the builder is not changed"


@pytest.mark.requirement("003/memory/disabled")
def test_a_step_may_go_without_memory():
    async def recall(request, context):
        raise AssertionError("asked")

    data = {"memory_contract": {"implementation_id": "app:recall"}}
    response, _, _ = step(["x"], natives=[recall], agent_data=data, disable_memory_recall=True)
    assert (response.memory_recall, response.result) == (None, "x")


@pytest.mark.requirement("003/step/tool-call")
@pytest.mark.parametrize("choice", ["auto", "any", "required", "none", "one", None])
def test_what_a_model_may_call_goes_into_the_request(choice):
    _, _, (request,) = step(["x"], tool("one"), agent_data={"tools": ["app:one"]}, tool_call=choice)
    assert request.options.tool_choice == (choice or "auto")


@pytest.mark.requirement("003/step/tool-call")
def test_a_choice_that_is_no_tool_is_refused_with_the_nearest():
    with pytest.raises(InputInvalid, match="Tool 'onne' not found") as refused:
        step(["x"], tool("one"), agent_data={"tools": ["app:one"]}, tool_call="onne")
    assert "one" in refused.value.fix.split(", ")


@pytest.mark.requirement("003/stream/chunks", "003/step/response")
def test_a_step_streams_and_returns_the_whole():
    events = []
    reply = [Thinking("hm"), "Hel", "lo", Call("one", {"a": 1})]
    response, _, _ = step(
        [reply], tool("one"), agent_data={"tools": ["app:one"]}, on_event=events.append
    )
    assert events == [ThinkingDelta(text="hm"), TextDelta(text="Hel"), TextDelta(text="lo")]
    assert (response.result, response.thinking, response.finish_reason) == (
        "Hello",
        "hm",
        "tool_call",
    )
    (call,) = response.tool_calls
    assert (call.name, call.arguments, response.delegate_calls) == ("one", '{"a":1}', ())


@pytest.mark.requirement("003/step/truncated")
def test_a_step_cut_inside_its_calls_drops_them_and_still_counts():
    reply = ["Look", Call("one"), Finish("length"), Spent(Usage(prompt=9, completion=4))]
    response, runner, _ = step([reply], tool("one"), agent_data={"tools": ["app:one"]})
    assert (response.truncated, response.tool_calls, response.message.tool_calls) == (True, (), ())
    assert (response.result, runner.total.completion) == ("Look", 4)


def test_a_long_text_without_calls_is_no_truncated_step():
    response, _, _ = step([["Look", Finish("length")]])
    assert (response.truncated, response.finish_reason) == (False, "length")


@pytest.mark.requirement("003/step/stats")
def test_totals_count_cached_tokens_and_thinking_once():
    spent = Spent(Usage(prompt=100, cached=50, completion=30, thinking=20))
    _, runner, _ = step([["a", spent], ["b", spent]], count=2)
    assert runner.get_stats() == {
        "id": "app:a",
        "name": "a",
        "total_tokens": {"prompt": 300, "completion": 60, "thinking": 40, "total": 360},
    }


@pytest.mark.requirement("003/definition/memory")
def test_static_memory_is_the_end_of_the_system_prompt():
    _, _, (request,) = step(["x"], agent_data={"memory": ["likes tea", "is brief"]})
    assert request.system == "You are a.\n\n## Your memory contains:\n- likes tea\n- is brief"
