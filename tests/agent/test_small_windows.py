"""Models with small windows: what tools return is fitted before each request, not after."""

import asyncio
import re

import pytest

from micro_agi.llm.failure import provider_error
from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import Compacted, Shortened, StepStarted, ToolCallFinished
from micro_agi.testing.transcript import scripted_runtime
from micro_agi.toolcalls.read import read_calls
from micro_agi.toolcalls.teach import tools_prompt
from tests.agent.playing import agent, playing

SOURCE = """
return { handler = function(args)
  local lines = { "report " .. tostring(args.n or 0) }
  for n = 0, 999 do lines[#lines + 1] = string.format("row %05d: nothing to see here", n) end
  return table.concat(lines, "\\n")
end }
"""
"""Returns 31,000 characters, below the cap of a single result."""

REPORT = {
    "id": "app:report",
    "kind": "function.lua",
    "meta": {
        "type": "tool",
        "llm_alias": "report",
        "llm_description": "Report.",
        "input_schema": {"type": "object", "properties": {"n": {"type": "integer"}}},
    },
    "data": {"source": SOURCE, "method": "handler"},
}


def play(script, window, *messages, **options):
    """Let an agent with the tool `report` answer messages; return events and requests."""

    async def scenario():
        entries = [REPORT, agent("a", tools=["app:report"], max_tokens=4096)]
        async with playing(script, *entries, card={"max_tokens": window}, **options) as played:
            session = await played.runtime.session(None, agent="app:a")
            events, finished = [], None
            for text in messages or ("go",):
                finished = await session.run(text, events.append)
            return finished, events, played.model.requests

    return asyncio.run(scenario())


def chars(request):
    tools = sum(len(t.description) + len(str(t.schema)) for t in request.tools)
    return len(request.system) + tools + sum(len(m.text) for m in request.messages)


def of(events, kind):
    return [e for e in events if isinstance(e, kind)]


@pytest.mark.requirement("004/context/small-window")
@pytest.mark.parametrize("window", [4096, 8192])
def test_a_result_larger_than_the_window_is_cut_to_fit_and_can_be_paged(window):
    def script(asked):
        if asked.last.role == "user":
            return Call("report", {"n": 7})
        found = re.search(r"result_handle (\w+)", asked.last.text)
        if asked.last.name == "report":
            return Call("read_result", {"handle": found[1], "offset": 15000})
        return "done" if "row 00" in asked.last.text else "lost"

    finished, events, requests = play(script, window)
    assert (finished.outcome, finished.text) == ("answered", "done")
    [shortened, *_] = of(events, Shortened)
    assert shortened.chars_after < shortened.chars_before - 9000
    # A quarter of the window stays for the reply; the agent asked for more than that.
    assert [r.options.max_tokens for r in requests] == [window // 4] * 3
    assert all(chars(r) * 0.25 < window * 0.75 for r in requests)
    cut = requests[1].messages[-1].text
    assert cut.startswith("report 7\nrow 00000")
    assert cut.endswith("row 00999: nothing to see here")


def test_old_results_are_cut_before_new_ones_and_no_person_is():
    def script(asked):
        return "seen" if asked.last.role == "tool" else Call("report", {"n": 1})

    task = "Remember the invoice 4711. " * 20
    finished, events, requests = play(script, 16_000, task, "and again", "and again")
    assert finished.text == "seen"
    results = [m.text for m in requests[-1].messages if m.role == "tool"]
    assert [len(text) < 1000 for text in results] == [True, True, False]
    assert len(results[-1]) > 29_000
    assert task in [m.text for m in requests[-1].messages]
    assert not of(events, Compacted)


@pytest.mark.requirement("004/context/facts-survive")
def test_talk_that_fills_a_small_window_is_summarised_and_its_facts_survive():
    def script(asked):
        if asked.request.system.startswith("You shorten"):
            return "They talked at length."
        return "I wrote /srv/data/q3.csv with 98231 rows. " + "blah " * 400

    messages = [f"part {n} " + "word " * 300 for n in range(6)]
    finished, events, requests = play(script, 4096, *messages, compress_at=1.0)
    assert finished.outcome == "answered"
    assert of(events, Compacted)
    assert all(chars(r) * 0.25 < 4096 * 0.8 for r in requests)
    said = "\n".join(m.text for m in requests[-1].messages)
    assert "/srv/data/q3.csv" in said
    assert "98231" in said
    assert messages[-1] in said


def refusing(room):
    """A server whose window is smaller than its card says."""

    def script(asked):
        if chars(asked.request) > room:
            raise provider_error("context_length_exceeded", "too long", where="server", status=400)
        return "fine" if asked.last.role == "tool" else Call("report")

    return script


@pytest.mark.requirement("004/context/refused-once")
def test_what_a_server_refuses_as_too_long_is_shortened_and_sent_once_more():
    finished, events, _ = play(refusing(25_000), 128_000)
    assert (finished.outcome, finished.text) == ("answered", "fine")
    assert len(of(events, Shortened)) == 1
    # Each request is a step of its own in the journal.
    assert [e.step for e in of(events, StepStarted)] == [1, 2, 3]


def test_a_request_that_cannot_get_shorter_is_not_sent_again():
    finished, events, requests = play(refusing(10), 128_000)
    assert finished.outcome == "failed"
    assert len(requests) == 1
    assert not of(events, Shortened)


def test_a_restart_finds_what_was_shortened_as_it_was(tmp_path):
    def script(asked):
        return "seen" if asked.last.role == "tool" else Call("report")

    async def scenario():
        home = str(tmp_path)
        entries = [REPORT, agent("a", tools=["app:report"])]
        async with playing(script, *entries, card={"max_tokens": 8192}, home=home) as played:
            session = await played.runtime.session("s", agent="app:a")
            await session.run("go", lambda _: None)
            before = session.conversation.messages
        async with scripted_runtime(script, home=home) as played:
            session = await played.runtime.session("s")
            return before, session.conversation.messages

    before, after = asyncio.run(scenario())
    assert before == after
    assert max(len(m.text) for m in after) < 20_000


@pytest.mark.requirement("004/models/taught")
def test_the_local_assistant_works_with_a_model_that_can_only_write_text(tmp_path):
    """Streamed in pieces, several calls in one reply, a small window."""

    def script(asked):
        assert asked.tools == ()
        results = [m for m in asked.messages if "<tool_result" in m.text]
        if not results:
            body = "x" * 40_000
            text = (
                "I write.\n"
                f'<tool name="write_file">{{"path": "a.txt", "content": "{body}"}}</tool>\n'
                '<tool name="write_file">{"path": "b.txt", "content": "two </tool> three"}</tool>'
            )
            return [text[n : n + 700] for n in range(0, len(text), 700)]
        if len(results) == 1:
            return (
                '<tool name="read_file">{"path": "b.txt"}</tool>'
                '<tool name="read_file">{"path": "a.txt"}</tool>'
            )
        assert "two </tool> three" in results[-1].text
        return "Both are there."

    async def scenario():
        card = {"capabilities": ("generate",), "max_tokens": 32_000}
        async with scripted_runtime(script, card=card) as played:
            events = []
            session = await played.runtime.session(None, agent="local:assistant")
            finished = await session.run("write two files", events.append)
            return finished, events

    finished, events = asyncio.run(scenario())
    assert (finished.outcome, finished.text) == ("answered", "Both are there.")
    done = [(e.name, e.error) for e in of(events, ToolCallFinished)]
    assert done == [("write_file", None)] * 2 + [("read_file", None)] * 2


def test_the_prompt_teaches_each_tool_of_the_local_assistant_as_the_parser_reads_it():
    async def scenario():
        async with scripted_runtime([]) as played:
            context = played.runtime.agent_context()
            runner = await context.load_agent("local:assistant")
            return runner.compiled.shown

    tools = asyncio.run(scenario())
    assert len(tools) >= 9
    for spec in tools:
        [call] = read_calls(tools_prompt([spec]), {spec.name: spec}).calls
        assert (call.name, call.problem) == (spec.name, "")
