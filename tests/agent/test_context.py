"""Agent contexts: what each method changes, what persists over loads, what a switch drops."""

import asyncio

import pytest

from micro_agi.errors import ArgumentsInvalid, EntryInvalid, EntryNotFound, InputInvalid
from micro_agi.messages import Usage
from tests.agent.playing import agent, playing, tool, trait, turn

A = agent("a", tools=["app:one"], traits=["app:t"], context={"own": 1, "both": "agent"})
B = agent("b", tools=["app:one"])
ENTRIES = (A, B, tool("one"), tool("two"), tool("of_trait"))
TRAIT = trait("t", prompt="T.", tools=["app:of_trait"], context={"from": "t", "both": "trait"})


def within(scenario, *entries, **options):
    """Run `scenario(context, played)` with an agent context."""

    async def run():
        async with playing(["hi"] * 4, *(entries or (*ENTRIES, TRAIT))) as played:
            return await scenario(played.runtime.agent_context(**options), played)

    return asyncio.run(run())


def names(runner):
    return [t.name for t in runner.compiled.tools]


@pytest.mark.requirement("003/context/add-tools", "003/context/current")
def test_what_changes_an_agent_drops_the_loaded_one():
    async def scenario(context, _):
        said = []
        for change in (
            lambda: context.add_tools("app:two"),
            lambda: context.add_delegates({"id": "app:b", "name": "ask_b"}),
            lambda: context.set_active_traits([]),
            lambda: context.set_active_tools(["app:two"]),
            lambda: context.configure_delegate_tools(enabled=False),
            lambda: context.set_memory_contract({"implementation_id": "app:none"}),
            lambda: context.set_context_merger(None),
            lambda: context.update_context({"k": 1}),
        ):
            await context.load_agent("app:a")
            assert change() is context
            with pytest.raises(InputInvalid, match="No agent loaded"):
                context.get_current_agent()
            with pytest.raises(InputInvalid, match="No current agent to change model for"):
                await context.switch_to_model("scripted")
            said.append(context.get_config()["current_agent_id"])
        return said

    assert within(scenario) == [None] * 8


@pytest.mark.requirement("003/context/add-tools")
def test_nothing_to_change_leaves_the_agent_loaded():
    async def scenario(context, _):
        runner = await context.load_agent("app:a")
        context.add_tools(None).add_tools([]).add_delegates(None).update_context(None)
        return context.get_current_agent() is runner

    assert within(scenario)


@pytest.mark.requirement("003/context/add-tools", "003/context/switch-agent")
def test_added_tools_and_delegates_persist_over_loads_and_switches():
    async def scenario(context, _):
        context.add_tools(["app:two", {"id": "app:two", "description": "Second"}])
        context.add_delegates([{"id": "app:a", "name": "ask_a", "rule": "a"}])
        first = await context.load_agent("app:a")
        second = await context.switch_to_agent("app:b")
        return names(first), names(second), second.tools["two"].description

    first, second, description = within(scenario)
    assert first == ["ask_a", "of_trait", "one", "two"]
    assert second == ["ask_a", "one", "two"]
    assert description == "Second", "the same tool again replaces what was said of it"


@pytest.mark.requirement("003/context/add-delegates")
def test_adding_a_delegate_switches_delegates_on():
    async def scenario(context, _):
        context.add_delegates({"id": "app:b", "name": "ask_b"})
        return context.get_config()["delegate_tools_enabled"], names(
            await context.load_agent("app:a")
        )

    enabled, found = within(scenario, delegate_tools={"enabled": False})
    assert (enabled, "ask_b" in found) == (True, True)


@pytest.mark.requirement("003/context/options")
def test_options_say_how_delegates_are_offered():
    schema = {"type": "object", "properties": {"question": {"type": "string"}}}

    async def scenario(context, _):
        definition = {"id": "x", "delegates": [{"id": "app:b", "name": "ask", "rule": "b"}]}
        return (await context.load_agent(definition)).tools.get("ask")

    options = {"description_suffix": " Now.", "default_schema": schema}
    asked = within(scenario, delegate_tools=options)
    assert (asked.description, asked.schema) == ("Forward the request to b Now.", schema)
    assert within(scenario, delegate_tools={"enabled": False}) is None
    with pytest.raises(ArgumentsInvalid, match="no valid JSON Schema"):
        within(scenario, delegate_tools={"default_schema": {"type": "nonsense"}})
    with pytest.raises(InputInvalid, match="`enable` is no option"):
        within(scenario, delegate_tools={"enable": True})


@pytest.mark.requirement("003/context/switch-agent")
def test_traits_and_tools_that_were_set_last_until_another_agent():
    async def scenario(context, _):
        context.set_active_traits([]).set_active_tools("app:two").add_tools("app:of_trait")
        set_ = await context.load_agent("app:a")
        again = await context.switch_to_agent("app:a")
        config = context.get_config()
        other = await context.switch_to_agent("a")
        return names(set_), set_.compiled.system, names(again), config, names(other)

    set_, system, again, config, other = within(scenario)
    assert (set_, system) == (["of_trait", "two"], "You are a.")
    assert again == set_
    assert config["has_active_traits"]
    assert config["has_active_tools"]
    assert other == ["of_trait", "one"], "the same agent by name counts as another one"


@pytest.mark.requirement("003/context/switch-agent")
def test_a_switch_that_fails_leaves_the_agent_and_drops_what_was_set():
    async def scenario(context, _):
        context.set_active_tools([])
        runner = await context.load_agent("app:a")
        with pytest.raises(EntryNotFound):
            await context.switch_to_agent("app:nobody")
        config = context.get_config()
        return context.get_current_agent() is runner, config["has_active_tools"]

    assert within(scenario) == (True, False)


@pytest.mark.requirement("003/context/switch-model", "003/context/load")
def test_a_model_counts_for_one_load_and_totals_stay_over_a_change_of_it():
    async def scenario(context, played):
        runner = await context.load_agent("app:a", model="whatever")
        runner.total = Usage(prompt=3, completion=2)
        other = await context.switch_to_model("scripted")
        kept = other.get_stats()["total_tokens"]["total"]
        with pytest.raises(InputInvalid, match="Model name is required"):
            await context.switch_to_model("")
        return kept, (await context.load_agent("app:a")).get_stats()["total_tokens"]["total"]

    assert within(scenario) == (5, 0)


@pytest.mark.requirement("003/context/inline", "003/context/switch-model")
def test_an_inline_definition_is_an_agent_like_any_other():
    async def scenario(context, _):
        given = {"name": "helper", "prompt": "Help.", "tools": ["app:one"], "max_tokens": 7}
        runner = await context.load_agent(given)
        context.add_tools("app:two")
        again = await context.reload()
        await context.switch_to_model("scripted")
        bare = await context.load_agent({"prompt": "x"})
        return runner.compiled.spec, names(again), bare.compiled.spec.id, given

    spec, found, bare, given = within(scenario)
    assert (spec.id, spec.max_tokens, found) == ("helper", 7, ["one", "two"])
    assert (bare, given["tools"]) == ("inline-agent", ["app:one"])


@pytest.mark.requirement("003/context/update")
def test_contexts_overlay_trait_then_agent_then_tool_and_the_base_lies_below():
    async def scenario(context, _):
        context.update_context({"base": 1, "both": "base"})
        definition = {**A["data"], "id": "x", "tools": [{"id": "app:two", "context": {"own": 2}}]}
        runner = await context.load_agent(definition)
        return runner.tools["two"].context, runner.tools["of_trait"].context

    two, of_trait = within(scenario)
    assert two == {"base": 1, "both": "agent", "own": 2, "agent_id": "x"}
    assert of_trait == {"base": 1, "both": "agent", "own": 1, "from": "t", "agent_id": "x"}


@pytest.mark.requirement("003/context/memory")
def test_a_memory_contract_of_the_context_goes_before_the_agents_own():
    async def scenario(context, _):
        own = {"implementation_id": "app:two", "options": {"max_items": 2}}
        definition = {"id": "x", "memory_contract": own}
        before = (await context.load_agent(definition)).compiled.memory.options.max_items
        context.set_memory_contract({"implementation_id": "app:one"})
        other = (await context.load_agent(definition)).compiled.memory
        context.set_memory_contract(None)
        back = (await context.load_agent(definition)).compiled.memory.function
        return before, other.function, other.options.max_items, back

    assert within(scenario) == (2, "app:one", 3, "app:two")


@pytest.mark.requirement("003/context/update")
def test_an_embedder_may_merge_contexts_otherwise():
    def trait_wins(of_trait, of_agent, own):
        return {**own, **of_agent, **of_trait}

    async def scenario(context, _):
        first = (await context.load_agent("app:a")).tools["of_trait"].context["both"]
        context.set_context_merger(lambda *_: "no map")
        with pytest.raises(EntryInvalid, match="the context merger returned a str"):
            await context.load_agent("app:a")
        return first

    assert within(scenario, context_merger=trait_wins) == "trait"


@pytest.mark.requirement("003/definition/inline")
@pytest.mark.parametrize(
    ("wanted", "what"),
    [
        ("app:one", "Entry is not a gen1 agent: app:one"),
        ({"id": "x", "prompt": 7}, "`prompt` of agent `x` is a int"),
        ({"id": "x", "tools": "app:one"}, "`tools` of agent `x` is a str"),
        ({"id": "x", "max_tokens": "many"}, "`max_tokens` of agent `x` is a str"),
    ],
)
def test_a_definition_that_is_none_is_refused_and_the_old_agent_stays(wanted, what):
    async def scenario(context, _):
        runner = await context.load_agent("app:a")
        with pytest.raises(EntryInvalid, match=what) as error:
            await context.load_agent(wanted)
        return error.value.fix, context.get_current_agent() is runner

    fix, stayed = within(scenario)
    assert (bool(fix), stayed) == (True, True)


def test_the_callers_map_is_not_changed():
    given = {"a": 1}

    async def scenario(context, _):
        context.update_context({"b": 2})

    within(scenario, context=given)
    assert given == {"a": 1}


def test_what_a_listener_adds_in_a_running_session_counts_from_the_next_turn():
    async def scenario():
        async with playing(["one", "two"], *ENTRIES, TRAIT) as played:
            session = await played.runtime.session("s", agent="app:a")
            await session.run("1", lambda _: None)
            session.agent.add_tools("app:two")
            await session.run("2", lambda _: None)
            return [[t.name for t in r.tools] for r in played.model.requests]

    first, second = asyncio.run(scenario())
    assert second == [*first, "two"]


@pytest.mark.requirement(
    "003/definition/thinking", "003/definition/max-tokens", "003/definition/fields"
)
def test_every_field_of_a_definition_reaches_the_request():
    fields = {"max_tokens": 99, "temperature": 0, "thinking_effort": 40.0}

    async def scenario():
        async with playing(["hi"], agent("a", **fields)) as played:
            await turn(played.runtime)
            return played.model.requests[0]

    request = asyncio.run(scenario())
    options = request.options
    assert (options.max_tokens, options.temperature, options.thinking_effort) == (99, 0, 40)
    assert request.system == "You are a."
