"""The bundled agent `local:assistant`: its limits, and that it is nobody's default."""

import asyncio

import pytest

from micro_agi.errors import EntryNotFound
from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import TurnStarted, Warned
from micro_agi.testing.transcript import run_transcript, scripted_runtime


def look(asked):
    """Look at something else each time: the same again and again would be a circle."""
    return Call("list_files", {"path": f"nowhere/{asked.number}"})


def turn(agent, **options):
    async def scenario():
        async with scripted_runtime(look, **options) as played:
            [turn] = await run_transcript(played.runtime, "go", agent=agent)
            return turn.finished

    return asyncio.run(scenario())


@pytest.mark.requirement("004/agent/steps")
def test_its_turns_have_twenty_steps_unless_a_person_says_otherwise():
    assert turn("local:assistant").steps == 20
    assert turn("local:assistant", max_steps=3).steps == 3


def test_an_app_with_agents_of_its_own_talks_to_them_first(tmp_path):
    source = tmp_path / "src"
    source.mkdir()
    (tmp_path / "wippy.yaml").write_text("")
    (source / "_index.yaml").write_text(
        "version: '1.0'\nnamespace: zoo\nentries:\n"
        "  - name: keeper\n    kind: registry.entry\n    meta: {type: agent.gen1, name: keeper}\n"
        "    prompt: Hello.\n"
    )

    async def first():
        async with scripted_runtime(["hi"], app=str(tmp_path)) as played:
            [turn] = await run_transcript(played.runtime, "hello")
            return next(e.agent for e in turn.events if isinstance(e, TurnStarted))

    assert asyncio.run(first()) == "zoo:keeper"


@pytest.mark.requirement("004/settings/switches")
def test_a_tool_that_is_switched_off_is_not_there_and_leaves_no_warning():
    switches = ("enable_shell", "enable_files", "enable_memory", "enable_pyexe")
    off = dict.fromkeys(switches, False)

    async def scenario():
        async with scripted_runtime(["hi"], **off, temperature=0.3, max_tokens=99) as played:
            rt = played.runtime
            [turn] = await run_transcript(rt, "hello", agent="local:assistant")
            for tool, arguments in (
                ("local:shell", {"command": "true"}),
                ("local:pyexe", {"code": "1"}),
            ):
                with pytest.raises(EntryNotFound):
                    await rt.call(tool, arguments)
            return turn, played.model.requests[0]

    turn, request = asyncio.run(scenario())
    assert [t.name for t in request.tools] == ["data_view", "fetch", "project", "promote_skill"]
    assert (request.options.temperature, request.options.max_tokens) == (0.3, 99)
    assert turn.of(Warned) == []
