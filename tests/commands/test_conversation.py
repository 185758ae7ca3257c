"""`ask`, `chat`, `run` and `session`, against a model server on loopback."""

import json
import sqlite3

import pytest

from micro_agi.llm.providers.scripted import Call
from micro_agi.testing.model_server import Fault, Reply, ScriptedServer
from tests.commands.conftest import lines_fit

ANSWER = Reply(text=("The answer ", "is 42."))
LOOK = Reply(text="Let me look.", calls=(Call("registry_list", {"namespace": "app.tools"}),))


@pytest.fixture
def model():
    """Start a server with a script; returns the flags that lead to it."""
    servers = []

    def start(*script):
        server = ScriptedServer(script).in_thread()
        servers.append(server)
        return ("--base-url", server.__enter__().base_url, "--model", "scripted-model")

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def test_the_answer_alone_is_on_standard_output_and_tool_lines_are_not(program, model):
    said = program("ask", "what?", *model(LOOK, ANSWER))
    assert (said.code, said.out) == (0, "The answer is 42.\n")
    assert "  [registry_list] ok" in said.err.splitlines()


def test_flags_may_stand_before_the_command(program, model):
    assert program(*model(ANSWER), "ask", "what?").out == "The answer is 42.\n"


def test_a_question_may_be_several_words_or_come_through_a_pipe(program, model):
    for words, stdin in ((("what", "is", "it?"), ""), (("-",), "what is it?")):
        said = program("ask", *words, "--json", *model(ANSWER), stdin=stdin)
        first = json.loads(said.out.splitlines()[0])
        assert first["message"]["parts"][0]["text"] == "what is it?"


def test_for_machines_every_event_is_one_line(program, model):
    said = program("ask", "what?", "--json", *model(LOOK, ANSWER))
    events = [json.loads(line) for line in said.out.splitlines()]
    kinds = [event["type"] for event in events]
    assert (kinds[0], kinds[-1]) == ("turn_started", "turn_finished")
    assert "tool_call_finished" in kinds
    assert events[-1]["text"] == "The answer is 42."


def test_a_turn_that_fails_fails_the_command(program, model):
    said = program("ask", "what?", *model(Fault(status=400, message="no such thing")))
    assert said.code == 1
    assert said.out == ""
    assert "no such thing" in said.err


def test_a_turn_that_reaches_a_limit_has_its_own_exit_code(program, model, monkeypatch):
    monkeypatch.setenv("MICRO_AGI_MAX_STEPS", "1")
    assert program("ask", "what?", *model(LOOK, LOOK)).code == 4


def test_without_a_model_the_three_ways_to_get_one_are_said(program):
    lines = program.refused("ask", "what?")
    assert "OPENAI_API_KEY" in lines[-1]
    assert "micro-agi demo" in lines[-1]


def test_an_empty_question_is_refused(program):
    assert "no question" in program.refused("ask", " ")[0]
    assert "no question" in program.refused("ask", "-", stdin="\n")[0]


def test_a_chat_takes_lines_from_a_pipe_and_prints_the_seeds_transcript(program, model):
    said = program("chat", *model(LOOK, ANSWER), stdin="what?\nquit\n")
    assert said.code == 0
    assert said.out.startswith("dev assistant (quit to exit)\n\n> what?\n")
    assert "  [registry_list] ok\nThe answer is 42.\n" in said.out


def test_without_a_command_the_chat_starts(program, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    assert program(stdin="quit\n").out.startswith("dev assistant (quit to exit)\n")


def test_without_a_model_the_chat_says_how_to_get_one_and_leaves(program):
    lines = program.refused("chat", stdin="hello\n")
    assert "no way to reach the model" in lines[0]
    assert "micro-agi demo" in lines[-1]


@pytest.mark.parametrize("words", [["agent"], ["-x", "app:agent"]])
def test_the_apps_command_agent_is_the_chat(program, monkeypatch, words):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    assert program("run", *words, stdin="quit\n").out.startswith("dev assistant (quit to exit)\n")


def test_the_agent_command_takes_no_arguments(program):
    assert "takes no arguments" in program.refused("run", "agent", "what?")[0]
    assert "takes no arguments" in program.refused("run", "-x", "app:agent", "what?")[0]


def test_commands_of_the_app_are_listed(program):
    assert program.ok("run", "list").splitlines()[1].split()[:2] == ["agent", "app:agent"]
    assert program("run", "--json").json == [
        {"name": "agent", "short": "Start dev assistant", "entry": "app:agent"}
    ]


def test_an_unknown_command_of_the_app_names_the_nearest(program):
    lines = program.refused("run", "agnt")
    assert lines[0] == 'error: command "agnt" not found'
    assert "agent" in lines[-1]


def test_what_is_no_command_is_refused_with_what_it_is(program):
    assert "not a command" in program.refused("run", "-x", "app:dev_assistant")[0]
    assert "micro-agi call" in program.refused("run", "-x", "app.tools:load_tool")[-1]
    assert "not found" in program.refused("run", "-x", "app:nope")[0]


def test_another_lua_process_is_refused_honestly(program):
    entry = {
        "id": "app.more:job",
        "kind": "process.lua",
        "meta": {"command": {"name": "job", "short": "A job"}},
        "data": {"source": "return { main = function() end }", "method": "main"},
    }
    file = program.file("c.json", json.dumps([{"op": "create", "entry": entry}]))
    program.ok("registry", "apply", file)
    assert "job" in program.ok("run", "list")
    assert "do not run yet" in program.refused("run", "job")[0]


def test_without_sessions_the_list_says_how_one_starts(program):
    assert program.ok("session", "list") == "No sessions yet. `micro-agi` starts one.\n"


def test_a_session_is_listed_shown_exported_and_gone_on_with(program, model):
    program.ok("ask", "what is it?", *model(LOOK, ANSWER))
    row = program("session", "list", "--json").json[0]
    assert (row["turns"], row["title"]) == (1, "what is it?")
    assert lines_fit(program.ok("session", "list", columns=60), 60) == []

    shown = program.ok("session", "show", row["id"])
    transcript = "> what is it?\nLet me look.\n  [registry_list] ok\nThe answer is 42.\n"
    assert shown.endswith(transcript)

    costs = program("session", "show", row["id"], "--cost", "--json").json
    assert [(c["name"], c["calls"]) for c in costs["tools"]] == [("app.tools:registry_list", 1)]
    assert [c["calls"] for c in costs["models"]] == [2]
    assert "app.tools:registry_list  1 " in program.ok("session", "show", row["id"], "--cost")

    exported = program.ok("session", "export", row["id"]).splitlines()
    assert len(exported) == row["events"]
    assert json.loads(exported[0])["seq"] == 1
    assert program("session", "export", row["id"], "journal.jsonl").out == ""
    assert (program.directory / "journal.jsonl").read_text().splitlines() == exported

    program.ok("ask", "and again?", "--session", row["id"], *model(ANSWER))
    assert program("session", "list", "--json").json[0]["turns"] == 2
    assert "> and again?" in program.ok("session", "show", row["id"])
    replayed = program.ok("session", "replay", row["id"])
    assert replayed.startswith("3 of 3 model requests rebuilt byte for byte")
    assert len(program("session", "show", row["id"], "--json").json) > row["events"]


@pytest.mark.parametrize(
    "words", [["session", "show"], ["session", "export"], ["ask", "hi", "--session"], ["--session"]]
)
def test_an_unknown_session_names_the_nearest(program, model, words):
    program.ok("ask", "what?", *model(ANSWER))
    known = program("session", "list", "--json").json[0]["id"]
    lines = program.refused(*words, known[:-1] + "x")
    assert lines[0].startswith("error: there is no session")
    assert known in lines[-1]


def test_a_control_sequence_in_a_conversation_does_not_reach_the_terminal(program, model):
    program.ok("ask", "what?", *model(Reply(text="a\x1b[2Jb")))
    session = program("session", "list", "--json").json[0]["id"]
    assert "\x1b" not in program.ok("session", "show", session)


def cut_off(program, model):
    """Leave a session behind as a killed process does, with a call that may have had an effect."""
    session = json.loads(program.ok("ask", "what?", "--json", *model(ANSWER)).splitlines()[0])
    assert session["type"] == "turn_started"
    row = json.loads(program.ok("session", "list", "--json"))[0]
    [state] = program.home.rglob("state.db")
    with sqlite3.connect(state) as db:
        last = db.execute("SELECT max(seq) FROM journal").fetchone()[0]
        call = {"id": "c1", "name": "pay", "arguments": "{}"}
        reply = {
            "type": "step_finished",
            "step": 1,
            "model": "m",
            "message": {"role": "assistant", "tool_calls": [call]},
            "finish_reason": "tool_call",
            "usage": {},
        }
        intent = {"type": "tool_call_started", "call_id": "c1", "name": "pay", "tool": ""}
        started = {**session, "turn": 2}
        for number, event in enumerate((started, reply, {**intent, "arguments": {}}), last + 1):
            body = json.dumps(event)
            facts = (row["id"], number, 0.0, 2, event["type"], 1, body.encode(), "")
            db.execute("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?)", facts)
    return row["id"]


def test_a_turn_that_was_cut_off_is_listed_and_goes_on(program, model):
    session = cut_off(program, model)
    assert "what? (cut off)" in program.ok("session", "list")
    said = program("session", "resume", session, *model(ANSWER))
    assert (said.code, said.out) == (0, "The answer is 42.\n")
    assert "going on with a turn that was cut off; 1 call may have had an effect" in said.err
    assert "  [pay] error: interrupted, outcome unknown" in said.err
    assert "(cut off)" not in program.ok("session", "list")
    [what, _] = program.refused("session", "resume", session, *model(ANSWER))
    assert "has ended" in what


def test_a_new_question_says_that_the_last_turn_was_cut_off(program, model):
    session = cut_off(program, model)
    said = program("ask", "again?", "--session", session, *model(ANSWER))
    assert (said.code, said.out) == (0, "The answer is 42.\n")
    assert f"`micro-agi session resume {session}`" in said.err


def test_a_chat_goes_on_with_a_turn_that_was_cut_off(program, model):
    session = cut_off(program, model)
    said = program("chat", "--session", session, *model(ANSWER), stdin="quit\n")
    assert "going on with a turn that was cut off" in said.err
    assert "The answer is 42." in said.out
