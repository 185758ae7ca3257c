"""`micro-agi ask`: one turn, a clean stdout, an exit code that a script can use."""

import asyncio
import io
import json
import os

import pytest

from micro_agi.errors import LimitReached, PolicyDenied, ProviderRefused
from micro_agi.llm.providers.scripted import Call
from micro_agi.settings import Settings
from micro_agi.terminal.ask import OneTurn, ask, ask_console
from micro_agi.terminal.console import Streams
from micro_agi.testing.transcript import scripted_runtime


def asked(script, *, as_json=False, act=None, **options):
    """Ask something; return exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()

    async def scenario():
        with open(os.devnull) as nothing:
            streams = Streams(input=nothing, output=out, errors=err)
            console = ask_console(Settings(), as_json=as_json, streams=streams)
            async with scripted_runtime(script, **options) as played, asyncio.timeout(20):
                if act is None:
                    return await ask(played.runtime, console, Settings(), "?", as_json=as_json)
                turn = OneTurn(await played.runtime.session(None), console, as_json=as_json)
                beside = asyncio.create_task(act(turn))
                code = await turn.run("?")
                await beside
                return code

    return asyncio.run(scenario()), out.getvalue(), err.getvalue()


def test_the_answer_is_all_there_is_on_stdout():
    script = [["Let me look.", Call("doc_search", {"query": "time"})], ["It is ", "five."]]
    assert asked(script) == (0, "It is five.\n", "Let me look.\n  [doc_search] ok\n")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProviderRefused("no", where="w", fix="f"), 1),
        (PolicyDenied("no", where="w", fix="f"), 3),
        (LimitReached("no", where="w", fix="f"), 4),
    ],
)
def test_a_failure_says_itself_and_has_its_exit_code(error, code):
    assert asked([error]) == (code, "", "error: no\n  where: w\n  fix: f\n")


def test_a_limit_is_exit_code_four():
    code, out, err = asked(lambda _: Call("doc_search", {"query": "x"}), max_steps=2)
    assert (code, out) == (4, "")
    assert "stopped: the limit of one turn was reached: steps, 2\n" in err


def test_ctrl_c_is_exit_code_130_and_keeps_what_there_was():
    started = asyncio.Event()

    async def half():
        yield "Half"
        started.set()
        await asyncio.Event().wait()

    async def act(turn):
        await started.wait()
        turn._interrupt()

    code, out, err = asked(lambda _: half(), act=act)
    assert (code, out) == (130, "Half\n")
    assert "stopped" in err


def test_json_is_one_event_a_line_and_nothing_else():
    code, out, err = asked([Call("doc_search", {"query": "x"}), "Yes."], as_json=True)
    events = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert events[0]["type"] == "turn_started"
    assert "tool_call_finished" in [e["type"] for e in events]
    assert (events[-1]["type"], events[-1]["outcome"]) == ("turn_finished", "answered")
