"""The loop, with a real runtime and a scripted model, over pipes."""

import asyncio
import io
import os
from pathlib import Path

import pytest

from micro_agi.errors import ProviderRefused
from micro_agi.llm.providers.scripted import Call
from micro_agi.settings import Settings
from micro_agi.terminal.chat import Chat, chat
from micro_agi.terminal.console import Console
from micro_agi.terminal.input import GivenLines, LineReader
from micro_agi.terminal.output import Output
from micro_agi.terminal.render import PlainScreen
from micro_agi.testing.transcript import scripted_runtime

GOLDEN = Path(__file__).parent / "golden" / "transcript.txt"


def draft(name, value):
    source = f"local function handler() return {value} end\nreturn {{ handler = handler }}"
    return {"name": name, "description": f"Tell {value}", "source": source}


def make(name, value):
    """The three steps that make a tool and call it."""
    return [
        Call("create_tool", draft(name, value)),
        Call("load_tool", {"id": f"app.generated:{name}"}),
        Call(name, {}),
    ]


def talk(script, lines, *, notices=(), session=None, **options):
    """Type lines into a chat; return exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()

    async def scenario():
        async with scripted_runtime(script, **options) as played:
            output = Output(out)
            settings = Settings(session=session or "")
            console = Console(
                settings,
                reader=GivenLines(lines, prompts=output),
                output=output,
                screen=PlainScreen(output, remarks=Output(err)),
            )
            return await chat(played.runtime, console, settings, notices=notices)

    return asyncio.run(scenario()), out.getvalue(), err.getvalue()


def test_the_seeds_transcript_is_reproduced_to_the_letter():
    script = [
        Call("doc_search", {"path": "lua/core/time"}),
        *make("current_time_utc", '{ utc = "2026-02-13T03:13:41Z" }'),
        ["The current UTC time", " is 2026-02-13T03:13:41Z."],
        *make("http_get", '{ origin = "98.24.33.45" }'),
        ["Your IP is ", "98.24.33.45.\n"],
    ]
    lines = ["what time is it?", "fetch https://httpbin.org/get and show my ip", "quit"]
    code, out, err = talk(script, lines)
    assert (code, err) == (0, "")
    assert out == GOLDEN.read_text("utf-8")


def test_an_empty_line_asks_again_and_the_end_of_input_leaves():
    code, out, err = talk([], ["", "   "])
    assert (code, err) == (0, "")
    assert out == "dev assistant (quit to exit)\n\n> \n\n>    \n\n"


@pytest.mark.parametrize("word", ["quit", "exit", "/quit", " quit "])
def test_the_words_that_leave_are_not_sent_to_the_agent(word):
    code, out, _ = talk([], [word, "never read"])
    assert code == 0
    assert "never read" not in out


def test_an_error_ends_the_turn_and_keeps_the_session():
    refused = ProviderRefused("the key is wrong", where="openai", fix="set OPENAI_API_KEY")
    code, out, err = talk([refused, "Here I am."], ["hello", "again", "quit"])
    assert code == 0
    assert err == "error: the key is wrong\n  where: openai\n  fix: set OPENAI_API_KEY\n"
    assert "> again\nHere I am.\n" in out


def test_notices_stand_under_the_banner():
    _, out, _ = talk([], [], notices=["isolation is C: no landlock"])
    assert out.startswith("dev assistant (quit to exit)\nisolation is C: no landlock\n\n")


def test_a_notice_that_comes_later_is_told_before_the_next_prompt():
    notices = []

    def script(_):
        notices.append("it got worse")
        return "Fine."

    _, out, _ = talk(script, ["hello"], notices=notices)
    assert "Fine.\nit got worse\n\n" in out


def test_an_unknown_command_names_the_nearest():
    _, _, err = talk([], ["/tols"])
    assert (
        err == "error: there is no command `/tols`\n  fix: did you mean /tools or /tool or /cost?\n"
    )


def test_every_command_of_the_help_can_be_run():
    _, out, err = talk(["Hi."], ["hello", "/help"])
    commands = [line.split()[0] for line in out.splitlines() if line.startswith("  /")]
    assert len(commands) == 11
    _, _, err = talk(["Hi."], ["hello", *commands[:-1]])
    # Two of them want a name, and say so; and there is nothing to take back.
    assert err.startswith("error: which tool?\n  fix: /tools lists them\n" * 2)
    assert err.count("error: ") == 3
    assert "error: there is no change to undo\n" in err


def test_tools_marks_what_an_agent_made():
    _, out, _ = talk([*make("five", "{ n = 5 }"), "5"], ["five?", "/tools"])
    assert "\n  create_tool" in out
    assert "\n+ five           Tell { n = 5 }\n" in out
    assert "  ! may" not in out


@pytest.mark.requirement("design/12/effect-classes")
def test_tools_marks_what_may_have_an_effect():
    far = {
        "name": "far",
        "description": "Fetch",
        "source": 'local http = require("http_client")\n'
        "return { handler = function() return 1 end }",
        "modules": ["http_client"],
        "hosts": ["http://example.com/*"],
    }
    script = [Call("create_tool", far), Call("load_tool", {"id": "app.generated:far"}), "Made."]
    _, out, _ = talk(script, ["make it", "/tools", "/tool far"])
    assert "\n+!far " in out
    assert "\n  ! may have an effect outside" in out
    assert "  effects   effect: may have an effect outside" in out


def test_tool_shows_source_versions_and_uses():
    _, out, _ = talk([*make("five", "{ n = 5 }"), "5"], ["five?", "/tool five"])
    card = out.partition("> /tool five\n")[2]
    assert card.startswith("  app.generated:five\n  Tell { n = 5 }\n  takes     nothing\n")
    assert "  tests     none\n  version   1  20" in card
    assert "by agent:app:dev_assistant" in card
    assert "    local function handler() return { n = 5 } end\n" in card


def test_rollback_restores_the_version_before_and_takes_a_first_one_out_of_use():
    script = [*make("n", "{ n = 1 }"), "1", *make("n", "{ n = 2 }"), "2", Call("n", {}), "one"]
    lines = ["make it", "change it", "/rollback n", "call it", "/rollback n 0", "/tools"]
    _, out, err = talk(script, lines)
    assert err == ""
    assert "  app.generated:n is as it was at version 1 (version 3 of the registry)\n" in out
    assert "  app.generated:n is taken out of use (version 4 of the registry)\n" in out
    assert "+ n" not in out


def test_a_session_goes_on_where_it_stopped(tmp_path):
    home = str(tmp_path)
    talk(["Hi."], ["hello"], session="s1", home=home)
    _, out, _ = talk(["Still here."], ["and now?", "/session"], session="s1", home=home)
    assert out.startswith("dev assistant (quit to exit)\nsession s1 goes on after 1 turn\n")
    assert "  session s1: 2 turns, 4 messages\n" in out


def test_a_question_that_nobody_can_answer_is_refused_and_says_how_to_allow_it():
    fetch = draft("get_page", "{}") | {
        "modules": ["http_client"],
        "hosts": ["https://example.com/*"],
    }
    script = [
        Call("create_tool", fetch),
        Call("load_tool", {"id": "app.generated:get_page"}),
        Call("get_page", {}),
        "No.",
    ]
    _, out, err = talk(script, ["fetch it"])
    assert (
        "  [get_page] error: `app.generated:get_page` may not request `https://example.com/*`"
        in out
    )
    assert "no person is here" in err


def piped(script, given, act):
    """Run a chat over a real pipe; `act(chat, write)` is a coroutine beside it."""
    reading, writing = os.pipe()
    out = io.StringIO()

    async def scenario():
        async with scripted_runtime(script) as played:
            output = Output(out)
            console = Console(
                Settings(),
                reader=LineReader(reading, prompts=output, questions=output),
                output=output,
                screen=PlainScreen(output, remarks=output),
            )
            session = await played.runtime.session(None)
            loop = Chat(played.runtime, console, session)
            os.write(writing, given)
            async with asyncio.timeout(20):
                beside = asyncio.create_task(act(loop, lambda b: os.write(writing, b)))
                code = await loop.run()
                await beside
            return code

    try:
        return asyncio.run(scenario()), out
    finally:
        os.close(reading)
        os.close(writing)


def test_lines_typed_ahead_into_a_pipe_are_all_answered():
    async def nothing(_, write):
        write(b"ee\nquit\n")

    code, out = piped(lambda a: f"heard {a.last.text}", b"one\r\ntwo\nthr", nothing)
    assert code == 0
    heard = [line for line in out.getvalue().splitlines() if line.startswith("heard")]
    assert heard == ["heard one", "heard two", "heard three"]


def hanging(started):
    """A script whose first reply never ends; the later ones do."""

    async def never():
        yield "Well"
        started.set()
        await asyncio.Event().wait()

    return lambda asked: never() if asked.number == 0 else "Next."


def test_ctrl_c_stops_the_turn_and_not_the_program():
    started = asyncio.Event()

    async def act(loop, write):
        await started.wait()
        loop.interrupt()
        write(b"go on\nquit\n")

    code, out = piped(hanging(started), b"hello\n", act)
    assert code == 0
    assert "> hello\nWell\n  stopped; what was done up to here stays done\n" in out.getvalue()
    assert "> go on\nNext.\n" in out.getvalue()


def test_ctrl_c_twice_leaves():
    started = asyncio.Event()

    async def act(loop, _):
        await started.wait()
        loop.interrupt()
        loop.interrupt()

    code, _ = piped(hanging(started), b"hello\n", act)
    assert code == 130


def test_ctrl_c_at_the_prompt_leaves_only_the_second_time():
    async def act(loop, _):
        while not loop._console.reader.interrupt():
            await asyncio.sleep(0)
        while not loop._console.reader.interrupt():
            await asyncio.sleep(0)

    code, out = piped([], b"", act)
    assert code == 130
    assert out.getvalue().count("(Ctrl-C again, or quit, to exit)") == 1
