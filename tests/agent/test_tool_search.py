"""Agents with many tools: what a model is shown, what it finds, what stays loaded."""

import asyncio
import json

import pytest

from micro_agi.errors import InputInvalid
from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import ToolCallFinished, ToolLoaded, Warned
from micro_agi.registry.entry import from_dict
from tests.agent.playing import agent, playing

WORDS = ("weather", "invoice", "translate", "calendar", "database", "picture")


def many(count=30):
    """Tools `app.many:…`, of which each word is in one description."""
    described = [*WORDS, *(f"matter number {n}" for n in range(count - len(WORDS)))]
    return [
        {
            "id": f"app.many:t{n}",
            "kind": "function.native",
            "meta": {"type": "tool", "llm_alias": f"t{n}", "llm_description": f"Handles {text}"},
            "data": {"target": "handle"},
        }
        for n, text in enumerate(described)
    ]


async def handle(arguments, _):
    return "handled"


def play(script, *, entries=(), budget=10, resumed=False, **data):
    """Run turns of an agent with 30 tools, one request a reply."""

    async def scenario():
        definition = agent("a", **{"tools": ["app.many:*"], **data})
        async with playing(script, definition, *entries, natives=[handle], tool_budget=budget) as p:
            p.runtime.registry.mount([from_dict(e) for e in many()])
            session = await p.runtime.session("s", agent="app:a")
            events = []
            await session.run("go", events.append)
            if resumed:
                session = await p.runtime.session("s", agent="app:a")
                await session.run("again", events.append)
            return [[t.name for t in r.tools] for r in p.model.requests], events

    return asyncio.run(scenario())


def found(events):
    return [json.loads(e.content) for e in events if isinstance(e, ToolCallFinished)]


@pytest.mark.requirement("003/tools/search")
def test_a_model_with_many_tools_finds_and_loads_one_and_calls_it_in_the_same_turn():
    script = [Call("tool_search", {"query": "make an invoice", "limit": 1}), Call("t1"), "done"]
    shown, events = play(script)
    assert shown == [["tool_search"], ["t1", "tool_search"], ["t1", "tool_search"]]
    results = [e for e in events if isinstance(e, ToolCallFinished)]
    assert [(r.name, r.error) for r in results] == [("tool_search", None), ("t1", None)]
    assert found(events[:1] + results[:1])[0]["tools"] == [
        {"name": "t1", "description": "Handles invoice"}
    ]
    assert [e.tool for e in events if isinstance(e, ToolLoaded)] == ["app.many:t1"]


def test_what_was_found_is_there_again_when_the_session_goes_on():
    script = [Call("tool_search", {"query": "weather", "limit": 1}), "ok", "again"]
    shown, _ = play(script, resumed=True)
    assert shown[-1] == ["t0", "tool_search"]


def test_a_policy_can_deny_the_search():
    rule = {"actions": "funcs.call", "resources": "system:tool_search", "effect": "deny"}
    deny = {"id": "app:no", "kind": "security.policy", "meta": {}, "data": {"policy": rule}}
    script = [Call("tool_search", {"query": "weather"}), "ok"]
    shown, events = play(script, entries=[deny], security={"policies": ["app:no"]})
    (result,) = [e for e in events if isinstance(e, ToolCallFinished)]
    assert (result.error["code"], shown[1]) == ("policy.denied", ["tool_search"])


@pytest.mark.parametrize(("budget", "count"), [(0, 30), (30, 30), (29, 1)])
def test_within_the_budget_a_model_sees_all_and_no_search(budget, count):
    shown, _ = play(["hi"], budget=budget)
    assert len(shown[0]) == count
    assert ("tool_search" in shown[0]) == (count == 1)


def test_tools_that_the_agent_names_itself_and_delegates_stay_visible():
    tools = ["app.many:t3", "app.many:*"]
    delegates = [{"id": "app:b", "name": "ask_b"}]
    shown, _ = play(["hi"], entries=[agent("b")], tools=tools, delegates=delegates)
    assert shown[0] == ["ask_b", "t3", "tool_search"]


def test_of_too_many_named_tools_the_first_are_shown():
    shown, _ = play(["hi"], tools=[f"app.many:t{n}" for n in range(29, -1, -1)], budget=3)
    assert shown[0] == ["t27", "t28", "t29", "tool_search"]


def test_a_search_that_finds_nothing_says_how_many_there_are():
    shown, events = play([Call("tool_search", {"query": "zzz"}), "ok"])
    assert found(events) == [{"tools": [], "note": "none of 30 tools fits; try other words"}]
    assert shown[1] == ["tool_search"]


def test_a_tool_that_is_not_shown_can_be_called_by_its_name():
    _, events = play([Call("t5"), "ok"])
    (result,) = [e for e in events if isinstance(e, ToolCallFinished)]
    assert result.content == "handled"


def test_a_tool_with_the_searchs_name_stands_aside_with_a_warning():
    other = {**many()[0], "id": "app:mine", "meta": {"type": "tool", "llm_alias": "tool_search"}}
    other = {**other, "kind": "function.lua", "data": {"source": "return {}", "method": "h"}}
    _, events = play(["hi"], entries=[other], tools=["app:mine", "app.many:*"])
    (warned,) = [e for e in events if isinstance(e, Warned)]
    assert "`app:mine` is not offered" in warned.text


def test_outside_of_a_turn_there_is_nothing_to_search():
    async def scenario():
        async with playing(["hi"]) as played:
            await played.runtime.call("system:tool_search", {"query": "x"})

    with pytest.raises(InputInvalid, match="only an agent's own call"):
        asyncio.run(scenario())


def test_a_hidden_tool_that_is_forced_is_shown():
    async def scenario():
        definition = agent("a", tools=["app.many:*"])
        async with playing(["hi"], definition, natives=[handle], tool_budget=5) as p:
            p.runtime.registry.mount([from_dict(e) for e in many()])
            runner = await p.runtime.agent_context().load_agent("app:a")
            await runner.step([], tool_call="t7")
            return [t.name for t in p.model.requests[0].tools], p.model.requests[0].options

    shown, options = asyncio.run(scenario())
    assert (shown, options.tool_choice) == (["tool_search", "t7"], "t7")
