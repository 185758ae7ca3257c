"""What happens to the schemas and contexts of tools on their way to a model and to a call."""

import asyncio

import pytest

from micro_agi.errors import ToolFailed
from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import ToolCallFinished, Warned
from micro_agi.registry.entry import from_dict
from micro_agi.security.context import CallContext
from tests.agent.playing import agent, playing, tool, turn

PROCESSOR = {"type": "input_schema_processor"}


def native(name, target, **meta):
    data = {"target": target}
    return {"id": f"app:{name}_entry", "kind": "function.native", "meta": meta, "data": data}


def play(script, *entries, natives=(), mounted=(), context=None, **data):
    async def scenario():
        async with playing(script, agent("a", **data), *entries, natives=natives) as played:
            played.runtime.registry.mount([from_dict(e) for e in mounted])
            _, events = await turn(played.runtime, **(context or {}))
            return played.model.requests, events

    return asyncio.run(scenario())


@pytest.mark.requirement("003/tools/placeholder")
def test_a_tool_without_arguments_shows_a_placeholder_and_never_gets_it():
    seen = []

    async def work(arguments, _):
        seen.append(arguments)

    mounted = [native("work", "work", type="tool", llm_alias="work")]
    (request, _), _ = play(
        [Call("work", {"placeholder": {}}), "ok"],
        natives=[work],
        mounted=mounted,
        tools=["app:work_entry"],
    )
    assert list(request.tools[0].schema["properties"]) == ["placeholder"]
    assert seen == [{}]


@pytest.mark.requirement("003/tools/schema-processors")
def test_processors_change_schemas_one_after_the_other_and_once_a_tool():
    seen = []

    async def first(arguments, _):
        tool_id, schema = arguments
        seen.append(tool_id)
        return {**schema, "title": "first"}

    async def second(arguments, _):
        _, schema = arguments
        return {**schema, "title": schema["title"] + " second"}

    mounted = [native("p1", "first", **PROCESSOR), native("p2", "second", **PROCESSOR)]

    async def scenario():
        entries = (agent("a", tools=["app:look"]), tool("look"))
        async with playing(["1", "2"], *entries, natives=[first, second]) as played:
            played.runtime.registry.mount([from_dict(e) for e in mounted])
            for _ in range(2):
                await turn(played.runtime)
            return [r.tools[0].schema["title"] for r in played.model.requests]

    assert asyncio.run(scenario()) == ["first second"] * 2
    assert seen == ["app:look"]


@pytest.mark.requirement("003/tools/schema-processors")
@pytest.mark.parametrize(
    ("answer", "what"), [(7, "returned a int"), (ToolFailed("broken"), "failed: broken")]
)
def test_a_processor_that_fails_leaves_the_schema_as_it_was(answer, what):
    async def first(arguments, _):
        if isinstance(answer, Exception):
            raise answer
        return answer

    mounted = [native("p1", "first", **PROCESSOR)]
    tools = [tool("look"), tool("see")]
    (request,), events = play(
        ["ok"], *tools, natives=[first], mounted=mounted, tools=["app:look", "app:see"]
    )
    assert "placeholder" in request.tools[0].schema["properties"]
    (warned,) = [e for e in events if isinstance(e, Warned)]
    assert what in warned.text


@pytest.mark.requirement("003/tools/inline-schema")
def test_a_reference_with_a_schema_needs_no_entry():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    inline = {"id": "host:finish", "schema": schema, "alias": "done"}
    (request,), events = play(["ok"], tools=[inline, {"id": "host:none"}])
    (spec,) = request.tools
    assert (spec.name, spec.description, spec.id) == ("done", "Inline tool: done", "host:finish")
    assert [e.text for e in events if isinstance(e, Warned)] == ["entry not found: host:none"]


@pytest.mark.requirement("003/tools/wildcard")
def test_a_wildcard_gives_its_context_to_all_and_an_alias_would_name_many():
    reference = {"id": "app:*", "alias": "x", "context": {"k": 1}}
    (request,), events = play(["ok"], tool("look"), tool("see"), tools=[reference])
    assert [(t.name, t.context["k"]) for t in request.tools] == [("look", 1), ("see", 1)]
    assert "would name many tools" in next(e.text for e in events if isinstance(e, Warned))


VARIABLE = {
    "id": "app:search_key",
    "kind": "env.variable",
    "meta": {},
    "data": {"storage": "app:memory", "variable": "SEARCH_API_KEY", "default": "s3cr3t-canary"},
}
MEMORY = {"id": "app:memory", "kind": "env.storage.memory", "meta": {}, "data": {}}


@pytest.mark.requirement("003/tools/alias-context")
def test_a_declared_variable_reaches_the_call_and_nothing_else():
    seen = []

    async def work(arguments, context):
        seen.append(context.values["api_key"])
        return f"used {context.values['api_key']}"

    mounted = [native("work", "work", type="tool", llm_alias="work")]
    reference = {"id": "app:work_entry", "context": {"api_key": "${SEARCH_API_KEY}"}}
    (first, second), events = play(
        [Call("work"), "ok"], VARIABLE, MEMORY, natives=[work], mounted=mounted, tools=[reference]
    )
    assert seen == ["s3cr3t-canary"]
    assert first.tools[0].context["api_key"] == "${SEARCH_API_KEY}"
    assert "s3cr3t-canary" not in repr((second.messages, events))
    (result,) = [e for e in events if isinstance(e, ToolCallFinished)]
    assert result.content == "used ***"
    assert [e for e in events if isinstance(e, Warned)] == []


def test_a_variable_that_a_policy_denies_stays_a_placeholder():
    seen = []

    async def work(arguments, context):
        seen.append(context.values["api_key"])

    rule = {"actions": "env.get", "resources": "SEARCH_API_KEY", "effect": "deny"}
    deny = {
        "id": "app:deny_env",
        "kind": "security.policy",
        "meta": {},
        "data": {"policy": rule},
    }
    mounted = [native("work", "work", type="tool", llm_alias="work")]
    reference = {"id": "app:work_entry", "context": {"api_key": "${SEARCH_API_KEY}"}}
    play(
        [Call("work"), "ok"],
        *(VARIABLE, MEMORY, deny),
        natives=[work],
        mounted=mounted,
        tools=[reference],
        security={"policies": ["app:deny_env"]},
    )
    assert seen == ["${SEARCH_API_KEY}"]


@pytest.mark.requirement("003/tools/native-context")
def test_a_function_of_the_program_may_ask_for_the_calls_context():
    async def scenario():
        script = [Call("whoami", {"greeting": "hi"}), "ok"]
        definition = agent("a", tools=["app.native:whoami"])
        async with playing(script, definition) as played:

            @played.runtime.tool
            async def whoami(greeting: str, context: CallContext) -> str:
                """Say who asks."""
                return f"{greeting} {context.actor.id} {context.values['user_id']}"

            _, events = await turn(played.runtime, user_id="ada")
            return played.model.requests[0].tools[0].schema, events

    schema, events = asyncio.run(scenario())
    assert list(schema["properties"]) == ["greeting"]
    (result,) = [e for e in events if isinstance(e, ToolCallFinished)]
    assert result.content == "hi agent:app:a ada"
