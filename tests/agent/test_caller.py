"""The tool caller of embedders: order, exclusive calls, contexts, errors."""

import asyncio

import pytest

from micro_agi.errors import ToolFailed
from micro_agi.llm.providers.scripted import Call
from micro_agi.registry.entry import from_dict
from tests.agent.playing import agent, playing, tool, trait

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def native(name, **meta):
    meta = {"type": "tool", "llm_alias": name, "llm_description": name, **meta}
    return {"id": f"app:{name}_tool", "kind": "function.native", "meta": meta, "data": {}}


def run(calls, *entries, natives=(), agent_data=None, session=None, strategy="sequential", **meta):
    """Let a model make `calls` of the tool `work`; return what was checked and the results."""

    async def scenario():
        tools = ["app:work_tool", "app:alone_tool"]
        definition = agent("a", **{"tools": tools, **(agent_data or {})})
        async with playing([calls], definition, *entries, natives=natives) as played:
            runtime = played.runtime
            for name in ("work", "alone"):
                described = native(name, input_schema=SCHEMA, exclusive=name == "alone", **meta)
                described["data"] = {"target": "work"}
                runtime.registry.mount([from_dict(described)])
            context = runtime.agent_context()
            runner = await context.load_agent("app:a")
            response = await runner.step([])
            caller = context.tool_caller().set_strategy(strategy)
            checked = await caller.validate(runner, response.tool_calls)
            return checked, await caller.execute(checked, session), caller

    return asyncio.run(scenario())


def working(seen):
    async def work(arguments, context):
        seen.append((arguments, dict(context.values)))
        return {"twice": arguments["n"] * 2}

    return work


@pytest.mark.requirement("003/tools/call-fields", "003/tools/execute")
def test_calls_are_checked_then_run_in_order_as_the_agent():
    seen = []
    calls = [Call("work", {"n": 1}, id="c1"), Call("work", {"n": 2}, id="c2")]
    checked, results, _ = run(calls, natives=[working(seen)])
    assert [(c.call_id, c.name, c.args, c.registry_id, c.valid) for c in checked] == [
        ("c1", "work", {"n": 1}, "app:work_tool", True),
        ("c2", "work", {"n": 2}, "app:work_tool", True),
    ]
    assert [(r.call_id, r.result, r.content) for r in results] == [
        ("c1", {"twice": 2}, '{"twice":2}'),
        ("c2", {"twice": 4}, '{"twice":4}'),
    ]
    assert seen[0][1]["call_id"] == "c1"


@pytest.mark.requirement("003/tools/context")
def test_what_the_session_says_wins_over_the_tools_context():
    seen = []
    tools = [{"id": "app:work_tool", "context": {"key": "tool", "own": 1}}]
    run(
        [Call("work", {"n": 1})],
        natives=[working(seen)],
        agent_data={"tools": tools, "context": {"key": "agent"}},
        session={"key": "session"},
    )
    values = seen[0][1]
    assert (values["key"], values["own"], values["agent_id"]) == ("session", 1, "app:a")


@pytest.mark.requirement("003/tools/exclusive")
@pytest.mark.parametrize("strategy", ["sequential", "parallel"])
def test_an_exclusive_call_runs_alone_and_the_others_are_told(strategy):
    seen = []
    calls = [Call("work", {"n": 1}), Call("alone", {"n": 2}), Call("alone", {"n": 3})]
    checked, results, _ = run(calls, natives=[working(seen)], strategy=strategy)
    assert [c.valid for c in checked] == [False, True, False]
    assert [r.error["what"][:7] if r.error else r.result for r in results] == [
        "skipped",
        {"twice": 4},
        "skipped",
    ]
    assert len(seen) == 1


@pytest.mark.requirement("003/tools/parallel")
def test_parallel_calls_overlap_and_results_keep_the_order():
    async def work(arguments, context):
        if arguments["n"] == 1:
            await asyncio.wait_for(second.wait(), 5)
        second.set()
        return arguments["n"]

    second = asyncio.Event()
    calls = [Call("work", {"n": 1}), Call("work", {"n": 2})]
    _, results, _ = run(calls, natives=[work], strategy="parallel")
    assert [r.result for r in results] == [1, 2]


@pytest.mark.requirement("003/tools/errors")
@pytest.mark.parametrize(
    ("call", "what"),
    [
        (Call("work", {"n": "x"}), "$.n"),
        (Call("work", "{broken"), "not JSON"),
        (Call("nothing"), "there is no tool `nothing`"),
    ],
)
def test_a_call_that_cannot_run_is_an_error_result(call, what):
    seen = []
    checked, results, _ = run([call], natives=[working(seen)])
    assert what in checked[0].error
    assert what in results[0].error["what"]
    assert seen == []


def wrapper(**fields):
    return trait("t", tool_wrappers=[{"binding": "app:wrap", **fields}])


@pytest.mark.requirement("003/tools/wrappers")
def test_a_wrapper_sees_calls_before_and_results_after_and_may_change_calls():
    payloads = []

    async def wrap(payload, context):
        payloads.append({**payload, "ctx": dict(context.values)})
        if payload["phase"] == "after_execute":
            return {"observations": ["seen"], "metadata": {"cost": 1}}
        first, _second = payload["tool_calls"]
        return {"tool_calls": [{**first, "arguments": {"n": 10}}]}

    seen = []
    _, results, caller = run(
        [Call("work", {"n": 1}, id="c1"), Call("work", {"n": 2}, id="c2")],
        wrapper(options={"level": 3}, context={"k": "v"}),
        natives=[working(seen), wrap],
        agent_data={"traits": ["t"]},
    )
    assert [a for a, _ in seen] == [{"n": 10}]
    assert results[0].result == {"twice": 20}
    assert "left this call out" in results[1].error["what"]
    before, after = payloads
    assert (before["options"], before["ctx"]["k"]) == ({"level": 3}, "v")
    assert after["tool_results"]["c1"]["result"] == {"twice": 20}
    assert after["outcome"]["reason"] == "tool_execution_failed"
    assert (caller.observations, caller.metadata[0]["metadata"]) == (["seen"], {"cost": 1})


@pytest.mark.requirement("003/tools/wrappers")
@pytest.mark.parametrize(("strict", "ran"), [(True, 0), (False, 1)])
def test_only_a_strict_wrapper_that_fails_stops_the_calls(strict, ran):
    async def wrap(payload, _):
        raise ToolFailed("no")

    seen = []
    _, results, caller = run(
        [Call("work", {"n": 1})],
        wrapper(strict=strict),
        natives=[working(seen), wrap],
        agent_data={"traits": ["t"]},
    )
    assert len(seen) == ran
    if strict:
        assert "Tool wrapper failed" in results[0].error["what"]
    assert len(caller.warnings) == (1 if strict else 2)


def test_a_tool_that_the_registry_does_not_have_is_the_hosts_to_answer():
    inline = {"id": "host:finish", "schema": SCHEMA, "description": "Say that you are done"}
    checked, results, _ = run(
        [Call("finish", {"n": 1})], tool("x"), natives=[working([])], agent_data={"tools": [inline]}
    )
    assert (checked[0].valid, checked[0].registry_id) == (True, "host:finish")
    assert results[0].error["code"] == "entry.not_found"
