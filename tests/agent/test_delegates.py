"""Agents that ask agents: whose conversation, whose money, whose authority."""

import asyncio
import json
from itertools import pairwise

import pytest

from micro_agi.errors import ProviderRefused
from micro_agi.llm.providers.scripted import Broken, Call, Spent
from micro_agi.messages import (
    Delegated,
    StepFinished,
    TextDelta,
    ToolCallFinished,
    TurnFinished,
    Usage,
    Warned,
)
from micro_agi.testing.transcript import run_transcript, scripted_runtime


def agent(name, **data):
    meta = {"type": "agent.gen1", "name": name}
    entry = {"prompt": f"You are {name}.", **data}
    return {"id": f"app:{name}", "kind": "registry.entry", "meta": meta, "data": entry}


def asks(*names):
    return [{"id": f"app:{n}", "name": f"ask_{n}", "rule": f"{n} for {n} questions"} for n in names]


def play(script, *entries, text="go", configure=None, policies=(), **settings):
    async def scenario():
        async with scripted_runtime(script, **settings) as played:
            runtime = played.runtime
            changes = runtime.registry.snapshot().changes()
            for entry in (*entries, *policies):
                changes.create(entry)
            await changes.apply(runtime.root())
            session = await runtime.session("s", agent="app:boss")
            if configure:
                configure(session.agent)
            events = []
            finished = await session.run(text, events.append)
            journal = [r.event for r in await runtime.journal.read("s")]
            return finished, events, played.model.requests, journal, session.conversation

    return asyncio.run(scenario())


def by_agent(**replies):
    """A script by the agent that is asked: its replies in order."""
    queues = {name: list(r) for name, r in replies.items()}

    def script(asked):
        name = asked.request.system.removeprefix("You are ").partition(".")[0]
        return queues[name].pop(0)

    return script


BOSS = agent("boss", delegates=asks("coder"))


@pytest.mark.requirement("003/delegates/tools", "003/delegates/run")
def test_the_delegates_answer_is_the_tool_result():
    script = by_agent(
        boss=[Call("ask_coder", {"message": "write it"}), "The coder says: done."],
        coder=["done"],
    )
    finished, events, requests, _, _ = play(script, BOSS, agent("coder"))
    assert finished.text == "The coder says: done."
    (result,) = [e for e in events if isinstance(e, ToolCallFinished)]
    assert (result.name, result.tool, result.content) == ("ask_coder", "app:coder", "done")
    assert [m.text for m in requests[1].messages] == ["write it"]
    assert requests[0].tools[0].description == ("Forward the request to coder for coder questions")


@pytest.mark.requirement("003/delegates/run")
def test_its_events_are_nested_and_journalled_and_its_text_is_not_the_callers():
    script = by_agent(boss=[Call("ask_coder", {"message": "x"}), "ok"], coder=[["do", "ne"]])
    _, events, _, journal, conversation = play(script, BOSS, agent("coder"))
    nested = [e for e in events if isinstance(e, Delegated)]
    assert {e.agent for e in nested} == {"app:coder"}
    texts = [e.event.text for e in nested if isinstance(e.event, TextDelta)]
    assert "".join(texts) == "done"
    kinds = [type(e.event).__name__ for e in journal if isinstance(e, Delegated)]
    assert kinds == ["TurnStarted", "StepStarted", "StepFinished", "TurnFinished"]
    assert [m.role for m in conversation.messages] == ["user", "assistant", "tool", "assistant"]


def test_its_tokens_and_money_count_for_the_caller():
    spent = Spent(Usage(prompt=100, completion=10))
    script = by_agent(
        boss=[[Call("ask_coder", {"message": "x"}), spent], ["ok", spent]], coder=[["done", spent]]
    )
    finished, _, _, _, _ = play(script, BOSS, agent("coder"))
    assert finished.usage == Usage(prompt=300, completion=30)


def test_a_delegate_uses_its_own_tools():
    draft = {
        "name": "one",
        "description": "One",
        "source": "return { handler = function() return 1 end }",
    }
    script = by_agent(
        boss=[Call("ask_coder", {"message": "make it"}), "ok"],
        coder=[
            *(Call("create_tool", draft), Call("load_tool", {"id": "app.generated:one"})),
            *(Call("one"), "it is 1"),
        ],
    )
    _, events, requests, _, _ = play(script, BOSS, agent("coder", tools=["app.tools:*"]))
    inner = [e.event for e in events if isinstance(e, Delegated)]
    results = [e for e in inner if isinstance(e, ToolCallFinished)]
    assert [(e.name, e.error) for e in results] == [
        ("create_tool", None),
        ("load_tool", None),
        ("one", None),
    ]
    assert [t.name for t in requests[-1].tools] == ["ask_coder"]


@pytest.mark.requirement("003/delegates/limits")
def test_its_tools_know_who_asked_whom_and_what_the_caller_knew():
    body = "local ctx = require('ctx') return { handler = function() return "
    body += (
        "ctx.get('from_agent_id') .. ' ' .. ctx.get('to_agent_id') .. ' ' .. ctx.get('user') end }"
    )
    whose = {
        "id": "app:whose",
        "kind": "function.lua",
        "meta": {"type": "tool", "llm_alias": "whose"},
        "data": {"source": body, "method": "handler", "modules": ["ctx"]},
    }
    script = by_agent(
        boss=[Call("ask_coder", {"message": "x"}), "ok"], coder=[Call("whose"), "done"]
    )
    boss = agent("boss", delegates=[{**asks("coder")[0], "context": {"user": "${user_id}"}}])
    _, events, _, _, _ = play(
        script,
        *(boss, agent("coder", tools=["app:whose"]), whose),
        configure=lambda context: context.update_context({"user_id": "ada"}),
    )
    inner = [e.event for e in events if isinstance(e, Delegated)]
    (result,) = [e for e in inner if isinstance(e, ToolCallFinished)]
    assert result.content == "app:boss app:coder ada"


def test_a_circle_is_refused_with_its_path():
    coder = agent("coder", delegates=asks("boss"))
    script = by_agent(
        boss=[Call("ask_coder", {"message": "x"}), "gave up"],
        coder=[Call("ask_boss", {"message": "y"}), "the boss is busy"],
    )
    finished, events, _, _, _ = play(script, BOSS, coder)
    inner = [e.event for e in events if isinstance(e, Delegated)]
    (refused,) = [e for e in inner if isinstance(e, ToolCallFinished)]
    assert refused.error["code"] == "limit.reached"
    assert "app:boss → app:coder → app:boss" in refused.error["what"]
    assert finished.text == "gave up"


@pytest.mark.requirement("003/delegates/limits")
def test_a_chain_has_an_end():
    names = ["boss", "a", "b", "c", "d", "e"]
    entries = [agent(n, delegates=asks(following)) for n, following in pairwise(names)]
    replies = {
        n: [Call(f"ask_{following}", {"message": "on"}), f"{n} ends"]
        for n, following in pairwise(names)
    }
    finished, events, _, _, _ = play(by_agent(**replies), *entries, agent("e"))
    assert finished.text == "boss ends"
    assert "more than 4 agents ask each other" in repr(events)


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (ProviderRefused("no quota"), "failed before it answered"),
        (Call("ask_nobody"), "reached a limit"),
        (["Half of ", Broken()], "before it answered; until then it had written: Half of"),
    ],
)
def test_a_delegate_that_does_not_answer_is_an_error_to_its_caller(reply, what):
    script = by_agent(
        boss=[Call("ask_coder", {"message": "x"}), "too bad"], coder=[reply, reply, reply]
    )
    limits = {"max_steps": 3, "model_retries": 0}
    finished, events, _, _, _ = play(script, BOSS, agent("coder"), **limits)
    (result,) = [e for e in events if isinstance(e, ToolCallFinished)]
    assert what in result.error["what"]
    assert finished.text == "too bad"


def test_cancelling_the_caller_ends_the_delegate_too():
    async def scenario():
        reached = asyncio.Event()

        async def hang(asked):
            if "coder" in asked.request.system:
                reached.set()
                await asyncio.Event().wait()
            return Call("ask_coder", {"message": "x"})

        async with scripted_runtime(hang) as played:
            runtime = played.runtime
            changes = runtime.registry.snapshot().changes()
            for entry in (BOSS, agent("coder")):
                changes.create(entry)
            await changes.apply(runtime.root())
            session = await runtime.session("s", agent="app:boss")
            turn = asyncio.create_task(session.run("go", lambda _: None))
            await reached.wait()
            session.cancel()
            finished = await turn
            return finished, [r.event for r in await runtime.journal.read("s")]

    finished, journal = asyncio.run(scenario())
    assert finished.outcome == "cancelled"
    inner = [e.event for e in journal if isinstance(e, Delegated)]
    assert [e.outcome for e in inner if isinstance(e, TurnFinished)] == ["cancelled"]


def grant(agent_name, host):
    rule = {
        "actions": ["http_client.request"],
        "resources": [host],
        "effect": "allow",
        "conditions": [{"field": "actor.id", "operator": "eq", "value": f"agent:app:{agent_name}"}],
    }
    entry_id = f"app.grants:{agent_name}"
    return {"id": entry_id, "kind": "security.policy", "meta": {}, "data": {"policy": rule}}


FETCH = {
    "id": "app.generated:get_page",
    "kind": "function.lua",
    "meta": {"type": "tool", "llm_alias": "get_page"},
    "data": {
        "source": "return { handler = function() return 'ran' end }",
        "method": "handler",
        "modules": ["http_client"],
        "hosts": ["https://api.example.com/*"],
    },
}


@pytest.mark.requirement("003/delegates/scope")
@pytest.mark.parametrize(
    ("granted", "refused"), [(["coder"], True), (["coder", "boss"], False), (["boss"], True)]
)
def test_a_delegate_may_do_only_what_its_caller_may_do_too(granted, refused):
    script = by_agent(
        boss=[Call("ask_coder", {"message": "x"}), "ok"], coder=[Call("get_page"), "tried"]
    )
    policies = [grant(name, "https://api.example.com/*") for name in granted]
    coder = agent("coder", tools=["app.generated:get_page"])
    _, events, _, _, _ = play(script, BOSS, coder, FETCH, policies=policies)
    inner = [e.event for e in events if isinstance(e, Delegated)]
    (result,) = [e for e in inner if isinstance(e, ToolCallFinished)]
    assert (result.error is not None) == refused


@pytest.mark.requirement("003/delegates/scope")
def test_the_delegate_alone_may_use_its_grant():
    async def scenario():
        async with scripted_runtime([Call("get_page"), "tried"]) as played:
            runtime = played.runtime
            changes = runtime.registry.snapshot().changes()
            coder = agent("coder", tools=["app.generated:get_page"])
            for entry in (coder, FETCH, grant("coder", "https://api.example.com/*")):
                changes.create(entry)
            await changes.apply(runtime.root())
            (turn,) = await run_transcript(runtime, "go", agent="app:coder")
            return turn.of(ToolCallFinished)[0]

    assert asyncio.run(scenario()).content == "ran"


def test_a_deny_for_the_caller_binds_the_writes_of_its_delegate():
    rule = {
        "actions": "registry.*",
        "resources": "app.generated:*",
        "effect": "deny",
        "conditions": [{"field": "actor.id", "operator": "eq", "value": "agent:app:boss"}],
    }
    deny = {
        "id": "app:boss_writes_nothing",
        "kind": "security.policy",
        "meta": {},
        "data": {"policy": rule, "groups": ["agent_security"]},
    }
    draft = {"name": "x", "description": "x", "source": "return { handler = function() end }"}
    script = by_agent(
        boss=[Call("ask_coder", {"message": "x"}), "ok"], coder=[Call("create_tool", draft), "no"]
    )
    coder = agent("coder", tools=["app.tools:create_tool"])
    _, events, _, _, _ = play(script, BOSS, coder, policies=[deny])
    inner = [e.event for e in events if isinstance(e, Delegated)]
    (result,) = [e for e in inner if isinstance(e, ToolCallFinished)]
    assert result.error["code"] == "policy.denied"
    assert "boss_writes_nothing" in result.error["where"]


def test_delegates_can_be_added_renamed_and_switched_off():
    def add(context):
        context.add_delegates([{"id": "app:coder", "name": "helper", "rule": "helper"}])
        context.configure_delegate_tools(description_suffix=" Be brief.")

    _, _, requests, _, _ = play(["ok"], agent("boss"), agent("coder"), configure=add)
    (spec,) = requests[0].tools
    assert (spec.name, spec.description) == ("helper", "Forward the request to helper Be brief.")

    def off(context):
        context.configure_delegate_tools(enabled=False)

    _, _, requests, _, _ = play(["ok"], BOSS, agent("coder"), configure=off)
    assert requests[0].tools == ()


@pytest.mark.parametrize(
    ("delegate", "what"),
    [
        ("app:coder", "is no delegate"),
        ({"id": "app:codr", "name": "x"}, "is no agent"),
        ({"id": "app:coder", "name": "no spaces"}, "cannot call a tool named"),
    ],
)
def test_a_delegate_that_is_wrong_is_a_warning(delegate, what):
    _, events, requests, _, _ = play(["ok"], agent("boss", delegates=[delegate]), agent("coder"))
    assert requests[0].tools == ()
    assert any(what in e.text for e in events if isinstance(e, Warned))


@pytest.mark.requirement("003/delegates/calls")
def test_embedders_see_delegate_calls_apart():
    async def scenario():
        script = [[Call("ask_coder", {"message": "x"}), Call("create_tool", {})]]
        async with scripted_runtime(script) as played:
            runtime = played.runtime
            changes = runtime.registry.snapshot().changes()
            boss = agent("boss", delegates=asks("coder"), tools=["app.tools:create_tool"])
            for entry in (boss, agent("coder")):
                changes.create(entry)
            await changes.apply(runtime.root())
            runner = await runtime.agent_context().load_agent("app:boss")
            return await runner.step([]), runner

    response, runner = asyncio.run(scenario())
    assert [c.name for c in response.tool_calls] == ["create_tool"]
    assert [json.loads(c.arguments) for c in response.delegate_calls] == [{"message": "x"}]
    assert runner.tools[response.delegate_calls[0].name].delegate == "app:coder"


def test_what_a_delegate_spent_is_in_the_sessions_total():
    spent = Spent(Usage(prompt=100, completion=10))
    script = by_agent(
        boss=[[Call("ask_coder", {"message": "x"}), spent], ["ok", spent]], coder=[["done", spent]]
    )
    _, events, _, _, conversation = play(script, BOSS, agent("coder"))
    assert conversation.usage == Usage(prompt=300, completion=30)
    assert len([e for e in events if isinstance(e, StepFinished)]) == 2
