"""Traits: what they add to prompt, tools and steps, and what happens when they are wrong."""

import asyncio
from datetime import UTC, datetime

import pytest

from micro_agi.agent.traits import Clock
from micro_agi.messages import Warned
from micro_agi.registry.entry import from_dict
from micro_agi.testing.transcript import scripted_runtime

LUA = "return {{ handler = function(...) {body} end }}"


def function(name, body, modules=()):
    data = {"source": LUA.format(body=body), "method": "handler", "modules": list(modules)}
    return {"id": f"app:{name}", "kind": "function.lua", "meta": {}, "data": data}


def trait(name, **data):
    meta = {"type": "agent.trait", "name": name}
    return {"id": f"app:{name}", "kind": "registry.entry", "meta": meta, "data": data}


def tool(name):
    entry = function(name, "return 1")
    return {**entry, "meta": {"type": "tool", "llm_alias": name, "llm_description": name}}


def play(agent, *entries, turns=("hi",), values=None):
    """Run turns of an agent with entries of the operator; return requests and warnings."""

    async def scenario():
        async with scripted_runtime(["fine"] * len(turns)) as played:
            runtime = played.runtime
            changes = runtime.registry.snapshot().changes()
            definition = {"model": "scripted", **agent}
            meta = {"type": "agent.gen1", "name": "a"}
            changes.create(
                {"id": "app:a", "kind": "registry.entry", "meta": meta, "data": definition}
            )
            for entry in entries:
                changes.create(entry)
            await changes.apply(runtime.root())
            session = await runtime.session("s", agent="app:a")
            session.agent.update_context(values or {})
            events = []
            for text in turns:
                await session.run(text, events.append)
            return played.model.requests, [e for e in events if isinstance(e, Warned)]

    return asyncio.run(scenario())


@pytest.mark.requirement("003/traits/prompt", "003/traits/references")
def test_static_prompts_come_after_the_agents_in_the_order_of_the_traits():
    agent = {"prompt": "You help.", "traits": ["b_trait", "app:a_trait"], "memory": ["likes tea"]}
    requests, warnings = play(agent, trait("a_trait", prompt="A."), trait("b_trait", prompt="B."))
    memory = "## Your memory contains:\n- likes tea"
    assert requests[0].system == f"You help.\n\nB.\n\nA.\n\n{memory}"
    assert warnings == []


def test_tools_of_a_trait_have_its_context_under_the_agents():
    agent = {"traits": [{"id": "app:t", "context": {"a": 2, "b": 2}}], "context": {"b": 3}}
    reference = {"id": "app:look", "context": {"c": 4}}
    requests, _ = play(agent, trait("t", context={"a": 1, "z": 1}, tools=[reference]), tool("look"))
    (spec,) = requests[0].tools
    assert spec.context == {"a": 2, "b": 3, "c": 4, "z": 1, "agent_id": "app:a"}


def test_of_two_tools_with_one_name_the_agents_own_stays():
    agent = {"tools": ["app:look"], "traits": ["t"]}
    other = {**tool("other"), "meta": {"type": "tool", "llm_alias": "look"}}
    requests, warnings = play(agent, trait("t", tools=["app:other"]), tool("look"), other)
    assert [t.id for t in requests[0].tools] == ["app:look"]
    assert "two tools are called `look`" in warnings[0].text


@pytest.mark.requirement("003/traits/build")
def test_a_build_function_gets_prompt_and_context_and_adds_to_both():
    body = (
        "local prompt, context = ... "
        "return { prompt = 'built from ' .. prompt .. ' for ' .. context.agent_id, "
        "tools = { 'app:look' }, context = { from = 'build' } }"
    )
    agent = {"prompt": "You.", "traits": ["t"]}
    requests, _ = play(
        agent,
        trait("t", prompt="static", build_func_id="app:build"),
        function("build", body),
        tool("look"),
    )
    assert requests[0].system == "You.\n\nstatic\n\nbuilt from static for app:a"
    assert requests[0].tools[0].context["from"] == "build"


@pytest.mark.requirement("003/traits/prompt-func", "003/traits/step-func")
def test_a_prompt_function_is_asked_at_every_step_and_a_step_function_runs():
    count = {"prompt": 0, "step": 0}

    async def prompt(_, context):
        count["prompt"] += 1
        return f"step {count['prompt']} of {context.values['agent_id']} {context.values['who']}"

    async def step(_, __):
        count["step"] += 1

    natives = {"prompt_fn": prompt, "step_fn": step}
    entries = [
        {"id": f"app:{n}", "kind": "function.native", "meta": {}, "data": {"target": n}}
        for n in natives
    ]

    async def scenario():
        async with scripted_runtime(["one", "two"]) as played:
            runtime = played.runtime
            runtime.registry.mount([from_dict(e) for e in entries])
            for target, called in natives.items():
                runtime.functions.register(target, called)
            changes = runtime.registry.snapshot().changes()
            made = trait("t", prompt_func_id="app:prompt_fn", step_func_id="app:step_fn")
            changes.create(made)
            meta = {"type": "agent.gen1", "name": "a"}
            data = {"prompt": "P.", "traits": ["t"], "context": {"who": "me"}}
            changes.create({"id": "app:a", "kind": "registry.entry", "meta": meta, "data": data})
            await changes.apply(runtime.root())
            session = await runtime.session("s", agent="app:a")
            await session.run("1", lambda _: None)
            await session.run("2", lambda _: None)
            return [r.system for r in played.model.requests]

    systems = asyncio.run(scenario())
    assert systems == ["P.\n\nstep 1 of app:a me", "P.\n\nstep 2 of app:a me"]
    assert count == {"prompt": 2, "step": 2}


@pytest.mark.requirement("003/errors/trait-function")
@pytest.mark.parametrize(
    ("traits", "entries", "what"),
    [
        (["app:nothing"], [trait("t")], "trait `app:nothing` does not resolve"),
        ([7], [], "no trait reference"),
        (["t"], [trait("t", build_func_id="app:gone")], "build function `app:gone` failed"),
        (
            ["t"],
            [trait("t", build_func_id="app:b"), function("b", "return 7")],
            "returned a int",
        ),
        (
            ["t"],
            [trait("t", build_func_id="app:b"), function("b", "error('boom')")],
            "boom",
        ),
        (
            ["t"],
            [trait("t", prompt_func_id="app:p"), function("p", "return 7")],
            "returned no text",
        ),
        (
            ["t"],
            [trait("t", step_func_id="app:p"), function("p", "return nil, 'no'")],
            "of trait `t` failed: no",
        ),
        ([{"id": "time_aware", "context": {"timezone": "Mars/Base"}}], [], "no time zone"),
        ([{"id": "time_aware", "context": {"time_interval": 0}}], [], "no number of minutes"),
    ],
)
def test_a_trait_that_is_wrong_is_a_warning_and_the_agent_goes_on(traits, entries, what):
    requests, warnings = play({"prompt": "P.", "traits": traits}, *entries)
    assert len(requests) == 1
    assert any(what in w.text for w in warnings), warnings


@pytest.mark.requirement("003/traits/time-aware")
@pytest.mark.parametrize(
    ("zone", "interval", "text"),
    [
        ("UTC", 15, "Friday, February 13, 2026 at 03:00 UTC"),
        ("America/New_York", 15, "Thursday, February 12, 2026 at 22:00 America/New_York"),
        ("UTC", 7, "Friday, February 13, 2026 at 03:07 UTC"),
        ("UTC", 60, "Friday, February 13, 2026 at 03:00 UTC"),
        ("Asia/Kolkata", 1, "Friday, February 13, 2026 at 08:43 Asia/Kolkata"),
    ],
)
def test_time_aware_converts_and_rounds_down(zone, interval, text):
    now = datetime(2026, 2, 13, 3, 13, 41, tzinfo=UTC)
    assert text in Clock(zone=zone, interval_min=interval).text(now)


@pytest.mark.requirement("003/traits/time-aware")
def test_time_aware_is_in_the_prompt_of_an_agent():
    requests, _ = play({"prompt": "P.", "traits": ["time_aware"]})
    assert "The current date and time is" in requests[0].system
    assert " UTC. " in requests[0].system


@pytest.mark.requirement("003/tools/alias-context")
def test_placeholders_in_tool_contexts_come_from_the_session():
    reference = {"id": "app:look", "context": {"user": "${user_id}", "key": "k-${user_id}-${gone}"}}
    requests, warnings = play({"tools": [reference]}, tool("look"), values={"user_id": "u7"})
    assert requests[0].tools[0].context["user"] == "u7"
    assert [w.text for w in warnings] == ["`${gone}` in the context of `look` is not known"]


@pytest.mark.requirement("003/tools/inline-schema")
def test_an_inline_schema_replaces_the_tools_own():
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    requests, _ = play({"tools": [{"id": "app:look", "schema": schema}]}, tool("look"))
    assert requests[0].tools[0].schema == schema
