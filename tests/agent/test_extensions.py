"""Wrappers, bindings and behaviours of traits: how they are read, and what a session calls."""

import asyncio
import sqlite3

import pytest

from micro_agi.agent.extension_calls import Extensions
from micro_agi.agent.extensions import in_order, read_extensions
from micro_agi.errors import EntryInvalid, InputInvalid, ToolFailed
from micro_agi.llm.providers.scripted import Call, Spent
from micro_agi.messages import (
    Compacted,
    Recalled,
    StepFinished,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    Warned,
)
from micro_agi.registry.entry import from_dict
from micro_agi.testing.registry import memory_registry
from tests.agent.playing import agent, lua, playing, trait, turn

ECHO = lua("echo", "local args = ... return args", llm_description="Echo")


def read(data, **instance):
    return read_extensions(data, instance, trait="t", context=lambda own: {"agent": 1, **own})


def facts(found):
    return [(e.kind, e.binding, e.phases, e.priority, dict(e.options)) for e in found.extensions]


@pytest.mark.requirement("003/traits/wrappers")
def test_wrappers_are_a_list_or_one_map_with_phases_priority_and_options():
    wrappers = [
        {"binding": "a:x", "phases": ["before_execute", "other"], "options": {"a": 1}},
        {"binding_id": "a:y", "phase": "after_execute", "priority": 5, "strict": "yes"},
        {"implementation_id": "a:z", "strict": True},
    ]
    found = read({"tool_wrappers": wrappers, "options": {"a": 0, "t": 1}}, options={"i": 1})
    both = ("before_execute", "after_execute")
    base = {"a": 0, "t": 1, "i": 1}
    assert facts(found) == [
        ("tool_wrapper", "a:x", ("before_execute",), 100, {"a": 1, "t": 1, "i": 1}),
        ("tool_wrapper", "a:y", ("after_execute",), 5, base),
        ("tool_wrapper", "a:z", both, 100, base),
    ]
    assert [e.strict for e in found.extensions] == [False, False, True]
    assert [e.binding for e in in_order(found.extensions)] == ["a:y", "a:x", "a:z"]


def test_bindings_are_a_list_a_map_or_a_map_by_kind():
    one = {"contract": "c:x", "binding": "a:x", "kind": "lifecycle"}
    for written in ([one], one, {"lifecycle": one}, {"lifecycle": [one]}):
        assert [e.kind for e in read({"bindings": written}).extensions] == ["lifecycle"]
    options = {"context": {"options": {"b": 2}}, "options": {"a": 1, "b": 1}}
    (found,) = read({"binding": {**one, **options}}).extensions
    assert (found.options, found.context["trait_id"]) == ({"a": 1, "b": 2}, "t")


def test_a_behaviour_is_one_extension_a_handled_phase():
    behaviour = {
        "id": "careful",
        "kind": "guard",
        "handles": {"before_step": True, "after_step": True, "activate": False, "checkpoint": True},
        "handlers": {"lifecycle": "a:life", "checkpoint": "a:save"},
        "options": {"level": 1},
        "lifecycle": {"level": 2},
        "before_step": {"loud": True},
        "after_step": False,
        "checkpoint": {"max_tokens": 9, "unknown": 1},
    }
    found = read({"behaviors": {"careful": behaviour}}, options={"level": 0})
    assert facts(found) == [
        ("lifecycle", "a:life", ("before_step",), 100, {"level": 2, "loud": True}),
        ("checkpoint", "a:save", ("checkpoint",), 100, {"level": 0, "max_tokens": 9, "unknown": 1}),
    ]
    assert found.options == {"checkpoint": {"max_tokens": 9}}
    assert found.extensions[0].context["behavior_id"] == "careful"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ({"tool_wrapper": {"phases": ["never"], "binding": "a:x"}}, "none of the phases"),
        ({"tool_wrapper": {"phases": ["before_execute"]}}, "names no function"),
        ({"bindings": [{"contract": "c:x"}]}, "needs a kind and a `contract`"),
        ({"bindings": {"lifecycle": {"contract": "c:x"}}}, "names no function"),
    ],
)
def test_what_is_malformed_is_a_warning(data, what):
    found = read(data)
    assert found.extensions == ()
    assert what in found.warnings[0].text


def applying(data, payload, answers, method="apply"):
    """Call extensions whose functions answer from `answers`, by id."""
    called = []

    async def call(function, arguments, context):
        called.append((function, arguments[0]["options"], dict(context)))
        answer = answers[function]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def scenario():
        entries = [lua(name.partition(":")[2], "return nil") for name in answers]
        registry = await memory_registry(entries)
        found = in_order(read(data).extensions)
        extensions = Extensions(found, call=call, snapshot=registry.snapshot())
        return await getattr(extensions, method)(payload)

    return asyncio.run(scenario()), called


LIFE = {"contract": "c:x", "kind": "lifecycle"}
HOST = {"phase": "before_step", "host": {"kind": "test"}}


def test_lifecycles_are_called_in_order_and_their_answers_join():
    data = {
        "bindings": [
            {**LIFE, "binding": "app:b", "priority": 2},
            {**LIFE, "binding": "app:a", "priority": 1, "phases": ["before_step"]},
            {**LIFE, "binding": "app:c", "phases": ["deactivate"]},
            {**LIFE, "binding": "app:d"},
        ]
    }
    answers = {
        "app:a": {"messages": ["one"], "context": {"k": 1}},
        "app:b": {"messages": [{"content": "two"}], "context": {"k": 2}, "metadata": {"m": 1}},
        "app:c": {},
        "app:d": ToolFailed("no"),
    }
    summary, called = applying(data, HOST, answers)
    assert [function for function, _, _ in called] == ["app:a", "app:b", "app:d"]
    assert (summary.applied, summary.skipped, summary.context) == (2, 1, {"k": 2})
    assert summary.messages == ["one", {"content": "two"}]
    assert [(e["trait_id"], e["error"], e["strict"]) for e in summary.errors] == [
        ("t", "no", False)
    ]


@pytest.mark.parametrize(
    ("payload", "what"),
    [({"host": {"kind": "x"}}, "phase is required"), ({"phase": "x"}, "host is required")],
)
def test_a_lifecycle_needs_a_phase_and_a_host(payload, what):
    with pytest.raises(InputInvalid, match=what):
        applying({"bindings": {**LIFE, "binding": "app:a"}}, payload, {"app:a": {}})


def test_a_strict_lifecycle_that_fails_ends_what_it_is_called_around():
    data = {"bindings": {**LIFE, "binding": "app:a", "strict": True}}
    with pytest.raises(ToolFailed, match="failed: no"):
        applying(data, HOST, {"app:a": ToolFailed("no")})


def test_the_first_checkpoint_that_writes_something_wins():
    save = {"contract": "wippy.agent:checkpoint", "kind": "checkpoint"}
    data = {"bindings": [{**save, "binding": f"app:{n}"} for n in "abc"]}
    answers = {"app:a": {"memory": ""}, "app:b": {"summary": "S"}, "app:c": {"memory": "never"}}
    (written, summary), called = applying(data, HOST, answers, "checkpoint")
    assert (written, summary.applied, len(called)) == ("S", 1, 2)
    assert summary.errors[0]["binding_id"] == "t.checkpoint.0"
    other = {"bindings": [{**save, "contract": "c:x", "binding": "app:a"}]}
    with pytest.raises(EntryInvalid, match="unsupported checkpoint contract: c:x"):
        applying(other, HOST, answers, "checkpoint")


def play(script, *entries, natives=(), traits=("t",), **data):
    async def scenario():
        definition = agent("a", traits=list(traits), tools=["app:echo"], **data)
        async with playing(script, definition, ECHO, *entries, natives=natives) as played:
            finished, events = await turn(played.runtime)
            return finished, events, played.model.requests

    return asyncio.run(scenario())


@pytest.mark.requirement("003/traits/wrappers")
def test_in_a_session_a_wrapper_may_change_a_call_and_the_model_keeps_what_it_wrote():
    async def wrap(payload, _):
        assert payload["host"]["kind"] == "session"
        if payload["phase"] == "after_execute":
            return {"tool_calls": ["ignored"]}
        calls = payload["tool_calls"]
        new = {"id": "invented", "name": "echo"}
        return {"tool_calls": [{**calls[0], "arguments": {"said": "other"}}, new]}

    t = trait("t", tool_wrapper={"binding": "app:wrap"})
    calls = [Call("echo", {"said": "one"}, id="c1"), Call("echo", {"said": "two"}, id="c2")]
    script = [calls, "ok"]
    finished, events, requests = play(script, t, natives=[wrap])
    started = [e.arguments for e in events if isinstance(e, ToolCallStarted)]
    assert started[0] == {"said": "other"}
    results = {e.call_id: e for e in events if isinstance(e, ToolCallFinished)}
    first, second = results["c1"], results["c2"]
    assert (first.result, "left this call out" in second.error["what"]) == (
        {"said": "other"},
        True,
    )
    (answer,) = [m for m in requests[1].messages if m.role == "assistant"]
    assert [c.arguments for c in answer.tool_calls] == ['{"said":"one"}', '{"said":"two"}']
    assert any("added the call `invented`" in e.text for e in events if isinstance(e, Warned))
    assert finished.text == "ok"


def test_in_a_session_lifecycles_are_called_around_steps_and_may_speak():
    phases = []

    async def life(payload, _):
        phases.append((payload["phase"], payload["step"]))
        return {"messages": ["Be brief."]} if payload["phase"] == "before_step" else None

    t = trait("t", bindings={"lifecycle": {"contract": "c:x", "binding": "app:life"}})
    _, events, requests = play(["fine"], t, natives=[life])
    assert phases == [("activate", 0), ("before_step", 0), ("after_step", 1)]
    assert [m.text for m in requests[0].messages] == ["go", "Be brief."]
    assert [e.message.role for e in events if isinstance(e, Recalled)] == ["developer"]


def test_after_a_kill_a_call_that_runs_again_is_seen_by_the_wrappers_again(tmp_path):
    worked = []
    meta = {"type": "tool", "llm_alias": "work"}
    data = {"target": "work", "replayable": True}
    described = {"id": "app:work_tool", "kind": "function.native", "meta": meta, "data": data}

    async def wrap(payload, _):
        calls = payload["tool_calls"] if payload["phase"] == "before_execute" else []
        return {"tool_calls": [{**call, "arguments": {"n": 10}} for call in calls]}

    async def scenario(script, home, entries, going):
        async def work(arguments, _):
            worked.append(arguments)
            if len(worked) == 1:  # as `kill -9` would leave the state here
                state = played.runtime.database.path
                copy = tmp_path / "second" / state.relative_to(tmp_path / "first")
                copy.parent.mkdir(parents=True)
                with sqlite3.connect(state) as source, sqlite3.connect(copy) as to:
                    source.backup(to)
                    to.execute("UPDATE leases SET holder = '0:gone'")

        natives = [wrap, work]
        async with playing(script, *entries, natives=natives, home=str(home)) as played:
            played.runtime.registry.mount([from_dict(described)])
            session = await played.runtime.session("s", agent="app:a")
            return await going(session)

    t = trait("t", tool_wrapper={"binding": "app:wrap"})
    entries = [t, agent("a", traits=["t"], tools=["app:work_tool"])]
    first = scenario(
        [Call("work", {"n": 1}), "ok"],
        tmp_path / "first",
        entries,
        lambda session: session.run("go", lambda _: None),
    )
    second = scenario(
        ["resumed"], tmp_path / "second", [], lambda session: session.resume(lambda _: None)
    )
    assert (asyncio.run(first).text, asyncio.run(second).text) == ("ok", "resumed")
    assert worked == [{"n": 10}, {"n": 10}]


def test_an_agent_is_activated_once_and_deactivated_when_another_one_answers():
    phases = []

    async def life(payload, _):
        phases.append(payload["phase"])

    lifecycle = {"contract": "c:x", "binding": "app:life", "phases": ["activate", "deactivate"]}
    t = trait("t", bindings={"lifecycle": lifecycle})

    async def scenario():
        entries = (agent("a", traits=["t"]), agent("b"), t)
        async with playing(["1", "2", "3"], *entries, natives=[life]) as played:
            session = await played.runtime.session("s", agent="app:a")
            await session.run("1", lambda _: None)
            await session.run("2", lambda _: None)
            await session.agent.switch_to_agent("app:b")
            await session.run("3", lambda _: None)

    asyncio.run(scenario())
    assert phases == ["activate", "deactivate"]


def test_in_a_session_a_checkpoint_writes_the_summary():
    async def save(payload, _):
        return {"memory": f"SAVED {'user: go' in payload['transcript']}"}

    binding = {"contract": "wippy.agent:checkpoint", "binding": "app:save"}
    t = trait("t", bindings={"checkpoint": binding})
    full = Spent(Usage(prompt=120_000, completion=1))
    calls = [[Call("echo", {"n": n}), full] for n in range(7)]
    _, events, _ = play([*calls, ["done", full]], t, natives=[save])
    compacted = [e for e in events if isinstance(e, Compacted)]
    assert (compacted[0].by, compacted[0].summary.startswith("SAVED")) == ("checkpoint", True)
    assert len([e for e in events if isinstance(e, StepFinished)]) == 8
