"""`--workspace`, `undo` and `/undo`, as a person uses them."""

import pytest

from micro_agi.llm.providers.scripted import Call
from micro_agi.testing.model_server import Reply, ScriptedServer

WRITE = Reply(calls=(Call("write_file", {"path": "a.txt", "content": "one\n"}),))
DONE = Reply(text="Done.")


@pytest.fixture
def place(tmp_path):
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


@pytest.fixture
def model():
    with ScriptedServer([WRITE, DONE]).in_thread() as server:
        yield ("--base-url", server.base_url, "--model", "scripted-model")


def call(program, place, *flags):
    arguments = '{"path": "a.txt", "content": "one\\n"}'
    return program("call", "local:write_file", arguments, "--workspace", str(place), *flags)


@pytest.mark.requirement("004/workspace/consent")
def test_a_directory_outside_the_home_is_asked_about_once(program, place):
    refused = call(program, place)
    assert (refused.code, list(place.iterdir())) == (3, [])
    assert "nobody agreed that agents may change files there" in refused.err
    assert call(program, place, "--yes").code == 0
    assert call(program, place).code == 0
    assert program("undo", "--list", "--workspace", str(place)).code == 0


def test_a_directory_that_holds_homes_or_is_part_of_one_is_no_workspace(program):
    program.ok("registry", "list")
    (home,) = program.home.iterdir()
    for directory in (program.home.parent, program.home, home, home / "logs"):
        lines = program.refused("call", "local:list_files", "--workspace", str(directory))
        assert "the runtime keeps its state in there" in lines[0]
    assert program("call", "local:list_files", "--workspace", str(home / "workspace")).code == 3


@pytest.mark.requirement("004/undo/commands")
def test_undo_takes_back_what_an_agent_did_in_an_earlier_run(program, place, model):
    flags = ("--agent", "local:assistant", "--workspace", str(place), "--yes")
    assert program("ask", "write it", *flags, *model).out == "Done.\n"
    assert (place / "a.txt").read_text() == "one\n"
    listed = program("undo", "--list", "--json").json
    assert [(c["path"], c["did"], c["tool"]) for c in listed] == [
        *(("a.txt", "made", "local:write_file"),),
    ]
    (place / "a.txt").write_text("one\nmine\n")
    lines = program("undo").err.splitlines()
    assert "+mine" in lines
    assert (place / "a.txt").read_text() == "one\nmine\n"
    (place / "a.txt").write_text("one\n")
    assert program.ok("undo") == f"removed a.txt in {place}\n"
    assert "there is no change to undo" in program.refused("undo")[0]


@pytest.mark.requirement("004/undo/commands")
def test_undo_in_the_terminal_takes_back_the_last_change(program, place, model):
    flags = ("--agent", "local:assistant", "--workspace", str(place), "--yes")
    said = program("chat", *flags, *model, stdin="write it\n/undo\n/undo x\n/undo\nquit\n")
    assert "  [write_file] ok" in said.out.splitlines()
    assert "  removed a.txt" in said.out.splitlines()
    assert "`x` is no number" in said.out + said.err
    assert "there is no change to undo" in said.out + said.err
    assert list(place.iterdir()) == []
