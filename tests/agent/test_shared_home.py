"""Two sessions, or two processes, on one home: nothing is overwritten unseen, news arrives."""

import asyncio
import json
import subprocess
import sys

from micro_agi.errors import EntryConflict
from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import ToolCallFinished, Warned
from micro_agi.testing.transcript import run_transcript, scripted_runtime
from micro_agi.tools.draft import parse_draft

ID = "app.generated:greet"


def draft(word, **changes):
    return {
        "name": "greet",
        "description": f"Say {word}",
        "source": f"return {{ handler = function() return '{word}' end }}",
        **changes,
    }


def test_a_change_by_another_session_is_seen_at_the_next_turn():
    async def scenario():
        script = [
            *(Call("create_tool", draft("hi")), Call("load_tool", {"id": ID}), "made"),
            *(Call("create_tool", draft("hello")), "changed"),
            *(Call("greet"), "greeted"),
        ]
        async with scripted_runtime(script) as played:
            first = await played.runtime.session("first")
            await first.run("make", lambda _: None)
            await run_transcript(played.runtime, "change", session="second")
            events = []
            await first.run("greet", events.append)
            described = [t.description for t in played.model.requests[-1].tools if t.id == ID]
            return described, [e.content for e in events if isinstance(e, ToolCallFinished)]

    assert asyncio.run(scenario()) == (["Say hello"], ["hello"])


def test_a_loaded_tool_that_is_gone_is_a_warning_and_the_session_goes_on():
    async def scenario():
        script = [
            Call("create_tool", draft("hi")),
            Call("load_tool", {"id": ID}),
            "made",
            "still here",
        ]
        async with scripted_runtime(script) as played:
            runtime = played.runtime
            session = await runtime.session("s")
            await session.run("make", lambda _: None)
            changes = runtime.registry.snapshot().changes()
            changes.delete(ID)
            await changes.apply(runtime.root())
            events = []
            finished = await session.run("and now?", events.append)
            return finished.text, [e.text for e in events if isinstance(e, Warned)]

    text, warnings = asyncio.run(scenario())
    assert text == "still here"
    assert any(ID in w for w in warnings)


def test_a_broken_agent_definition_does_not_take_a_running_session_down():
    async def scenario():
        async with scripted_runtime(["one", "two"]) as played:
            runtime = played.runtime
            session = await runtime.session("s")
            await session.run("first", lambda _: None)
            agent = runtime.registry.get("app:dev_assistant").as_dict()
            agent["data"] = {**agent["data"], "max_tokens": "many"}
            changes = runtime.registry.snapshot().changes()
            changes.update(agent)
            await changes.apply(runtime.root())
            events = []
            finished = await session.run("second", events.append)
            return finished.text, [e.where for e in events if isinstance(e, Warned)]

    assert asyncio.run(scenario()) == ("two", ["app:dev_assistant at max_tokens"])


def test_of_two_drafts_for_one_name_at_once_one_is_refused():
    async def scenario():
        async with scripted_runtime([]) as played:
            runtime = played.runtime
            drafts = [parse_draft(draft(word)) for word in ("a", "b")]
            done = await asyncio.gather(
                *(runtime.gate.create(d, runtime.root()) for d in drafts), return_exceptions=True
            )
            return done, len(runtime.registry.history.of_entry(ID))

    done, revisions = asyncio.run(scenario())
    assert revisions == 1
    assert [type(d) for d in done if isinstance(d, Exception)] == [EntryConflict]


def test_a_revision_that_the_author_did_not_see_is_refused():
    async def scenario():
        script = [
            Call("create_tool", draft("a")),
            Call("create_tool", draft("b", expected_revision=0)),
            "done",
        ]
        async with scripted_runtime(script) as played:
            (turn,) = await run_transcript(played.runtime, "go")
            return turn.of(ToolCallFinished)[1].error

    assert asyncio.run(scenario())["code"] == "entry.conflict"


def test_a_tool_made_by_another_process_is_there_at_the_next_turn(tmp_path):
    file = tmp_path / "greet.json"
    file.write_text(json.dumps(draft("hi from outside")))

    async def scenario():
        script = ["nothing yet", Call("load_tool", {"id": ID}), Call("greet"), "done"]
        async with scripted_runtime(script, home=str(tmp_path)) as played:
            session = await played.runtime.session("s")
            await session.run("hello", lambda _: None)
            command = [sys.executable, "-m", "micro_agi", "--home", str(tmp_path)]
            done = await asyncio.to_thread(
                subprocess.run,
                [*command, "tool", "create", str(file)],
                capture_output=True,
                text=True,
                check=False,
                timeout=50,
            )
            assert done.returncode == 0, done.stderr
            events = []
            await session.run("greet", events.append)
            return [e.content for e in events if isinstance(e, ToolCallFinished)][-1]

    assert asyncio.run(scenario()) == "hi from outside"
