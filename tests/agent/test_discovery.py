"""Agents, traits and tools by id, name, class and namespace; and a model that chooses an agent."""

import asyncio

import pytest

from micro_agi.agent.discovery import Discovery
from micro_agi.errors import EntryInvalid, EntryNotFound, InputInvalid, ToolFailed
from micro_agi.llm.providers.scripted import Call
from micro_agi.testing.registry import memory_registry
from tests.agent.playing import agent, lua, playing, tool, trait

ENTRIES = (
    agent("writer", meta={"class": ["text", "fast"], "comment": "Writes"}),
    agent("coder", meta={"class": "text-code"}),
    trait("careful", prompt="Be careful."),
    tool("look", tags=["eyes", "read"]),
    tool("LookTwice", tags=["eyes"]),
    {**tool("b_look"), "id": "app.sub:look"},
    lua("plain", "return 1"),
)


@pytest.fixture(scope="module")
def found():
    registry = asyncio.run(memory_registry(ENTRIES))
    return Discovery(registry.snapshot())


@pytest.mark.requirement("003/discovery/agents")
def test_agents_by_id_by_name_and_by_class(found):
    assert found.agent("app:writer") == found.agent_named("writer")
    assert found.agent("app:writer").classes == ("text", "fast")
    assert [a.id for a in found.agents(of_class="text")] == ["app:writer"]
    assert [a.id for a in found.agents(namespace="app")] == ["app:coder", "app:writer"]
    assert found.agents(of_class="nothing") == []


@pytest.mark.requirement("003/discovery/traits")
def test_traits_by_id_by_name_and_by_namespace(found):
    assert found.trait("app:careful") == found.trait_named("careful")
    assert [t.id for t in found.traits(namespace="app")] == ["app:careful"]
    assert found.traits(namespace="other") == []


@pytest.mark.requirement("003/discovery/tools")
def test_tools_by_namespace_tags_and_by_any_of_their_names(found):
    assert [t.name for t in found.tools(namespace="app").tools] == ["LookTwice", "look"]
    assert [t.id for t in found.tools(tags=["eyes", "read"]).tools] == ["app:look"]
    assert found.tool("app:look").description == "The tool look"
    among = ["app:look", "app:LookTwice"]
    for name in ("LOOK", "app:look"):
        assert found.tool_named(name, among) == "app:look"
    with pytest.raises(EntryNotFound, match="No tool found with name: lok") as error:
        found.tool_named("lok", among)
    assert "look" in error.value.fix


@pytest.mark.parametrize(
    ("ask", "kind", "what"),
    [
        (lambda d: d.agent("app:wrter"), EntryNotFound, "No agent found with ID: app:wrter"),
        (lambda d: d.agent("app:look"), EntryInvalid, "Entry is not a agent: app:look"),
        (lambda d: d.agent_named("wrter"), EntryNotFound, "No agent found with name: wrter"),
        (lambda d: d.trait("app:nothing"), EntryNotFound, "No trait found with ID"),
        (lambda d: d.trait_named(""), EntryNotFound, "No trait found with name"),
        (lambda d: d.tool("app:plain"), EntryInvalid, "Entry is not a tool: app:plain"),
    ],
)
def test_what_is_not_there_is_said_with_the_nearest(found, ask, kind, what):
    with pytest.raises(kind, match=what) as error:
        ask(found)
    assert error.value.fix


def select(script, request="fix my code", of_class="c", count=2):
    agents = [agent(f"a{n}", meta={"class": "c", "comment": f"Agent {n}"}) for n in range(count)]

    async def scenario():
        async with playing(script, *agents) as played:
            return await played.runtime.select_agent(request, of_class), played.model.requests

    return asyncio.run(scenario())


@pytest.mark.requirement("003/discovery/selector")
def test_a_model_chooses_an_agent_of_a_class():
    choice = Call("choose_agent", {"agent": "app:a1", "reason": "it codes"})
    selected, (request,) = select([choice])
    assert (selected.agent, selected.reason) == ("app:a1", "it codes")
    assert '"comment":"Agent 1"' in request.messages[0].text
    assert (request.options.tool_choice, request.options.temperature) == ("choose_agent", 0)
    assert request.tools[0].schema["properties"]["agent"]["enum"] == ["app:a0", "app:a1"]


def test_one_agent_alone_needs_no_model():
    selected, requests = select([], count=1)
    assert (selected.agent, requests) == ("app:a0", [])


@pytest.mark.requirement("003/discovery/selector")
@pytest.mark.parametrize(
    ("script", "arguments", "kind", "what"),
    [
        (["text"], {}, ToolFailed, "LLM response missing agent field"),
        ([Call("choose_agent", "{")], {}, ToolFailed, "LLM response missing agent field"),
        (
            [Call("choose_agent", {"agent": "app:evil"})],
            {},
            ToolFailed,
            "LLM selected invalid agent ID: app:evil",
        ),
        ([], {"request": " "}, InputInvalid, "User prompt is required"),
        ([], {"of_class": ""}, InputInvalid, "Class name is required"),
        ([], {"of_class": "no"}, EntryNotFound, "No agents found for class: no"),
    ],
)
def test_a_choice_that_is_none_is_an_error(script, arguments, kind, what):
    with pytest.raises(kind, match=what):
        select(script, **arguments)
