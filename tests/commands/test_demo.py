"""`micro-agi demo`, as a person starts it."""

import os
import re
import subprocess
import sys

import pytest

from micro_agi.commands.demo import Script, as_result
from micro_agi.llm.providers.scripted import Asked, Call, scripted_card
from micro_agi.llm.request import ModelRequest
from micro_agi.messages import Message, Text, message

SEED_LINES = [
    *("[doc_search] ok", "[create_tool] ok", "[load_tool] ok"),
    *("[+] app.generated:current_time_utc", "[current_time_utc] ok"),
    *("[create_tool] ok", "[load_tool] ok", "[+] app.generated:http_get", "[http_get] ok"),
]


def demo(home, *flags):
    environ = {**os.environ, "PYTHONWARNINGS": "error"}
    return subprocess.run(
        [sys.executable, "-m", "micro_agi", "--home", str(home), "demo", "--plain", *flags],
        capture_output=True,
        text=True,
        timeout=50,
        env=environ,
        check=False,
    )


def warm_demo(warm, home, *flags):
    argv = ("micro-agi", "--home", str(home), "demo", "--plain", *flags)
    return warm.run(*argv, cwd=home, env=os.environ)


def tool_lines(output):
    return [line.strip() for line in output.splitlines() if line.startswith("  [")]


@pytest.mark.usefixtures("demo_port")
@pytest.mark.requirement("000/run/time", "000/run/fetch", "000/run/banner")
def test_it_plays_both_exchanges_of_the_document(tmp_path):
    done = demo(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert tool_lines(done.stdout) == SEED_LINES
    assert "model, which is a script" in done.stdout.splitlines()[0]
    assert "dev assistant (quit to exit)\n\n> what time is it?\n" in done.stdout
    assert re.search(r"^The current UTC time is \d{4}-\d\d-\d\dT[\d:]{8}Z\.$", done.stdout, re.M)
    assert "\nYour IP is 127.0.0.1.\n" in done.stdout


@pytest.mark.usefixtures("demo_port")
def test_a_second_run_finds_the_tools_and_says_so(tmp_path, warm):
    warm_demo(warm, tmp_path)
    again = warm_demo(warm, tmp_path)
    assert again.returncode == 0
    assert again.stdout.count("I had made that tool before.") == 2


@pytest.mark.usefixtures("demo_port")
def test_without_the_grant_the_refusal_is_shown(tmp_path, warm):
    done = warm_demo(warm, tmp_path, "--no-input")
    assert done.returncode == 1
    assert "nothing is granted" in done.stdout
    line = next(t for t in tool_lines(done.stdout) if t.startswith("[http_get]"))
    assert line.startswith("[http_get] error: `app.generated:http_get` may not request")
    assert "That did not work:" in done.stdout


def replied(question, *results):
    """The script's reply to results that nobody computed."""
    tools = [
        Message(role="tool", parts=(Text(text),), name=name, tool_call_id="c")
        for name, text in results
    ]
    request = ModelRequest(
        model=scripted_card(), system="", messages=[message("user", question), *tools]
    )
    reply = Script("http://127.0.0.1:1").reply(Asked(0, request))
    return reply if isinstance(reply, Call) else "".join(reply)


def test_the_answer_says_what_the_tool_returned():
    results = [("load_tool", '{"alias": "clock"}'), ("clock", '{"utc": "YESTERDAY"}')]
    assert replied("what time is it?", *results) == "The current UTC time is YESTERDAY."


def test_the_call_follows_the_alias_that_load_tool_returned():
    loaded = replied("what time is it?", ("load_tool", '{"alias": "other"}'))
    assert isinstance(loaded, Call)
    assert loaded.name == "other"


def test_a_page_without_the_function_is_not_believed_in():
    answer = replied("what time is it?", ("doc_search", '{"content": "nothing here"}'))
    assert answer == "The documentation does not say how to tell the time."


def test_an_error_of_a_tool_is_the_answer():
    answer = replied("what time is it?", ("create_tool", '{"error": {"what": "no room"}}'))
    assert answer == "That did not work: no room."


def test_text_that_is_no_object_is_kept_as_text():
    assert as_result(Message(role="tool", parts=(Text("hi"),), name="t")).value == {"text": "hi"}
