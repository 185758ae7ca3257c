"""`micro-agi doctor`: each part alone, and a way out for each that fails."""

import sqlite3

import pytest

from micro_agi.app import BUNDLED
from micro_agi.testing.model_server import ScriptedServer
from tests.commands.conftest import lines_fit


def parts(program, *words):
    said = program("doctor", "--json", *words)
    return said.code, {f["part"]: f for f in said.json}


def test_on_a_sound_machine_everything_is_ok_but_the_model_that_is_to_do(program):
    code, found = parts(program)
    assert code == 0
    for part in ("python", "lua", "sqlite", "docs", "home", "worker", "escape", "app", "registry"):
        assert (part, found[part]["state"]) == (part, "ok")
    assert found["sandbox"]["what"].startswith("level ")
    assert found["py tools"]["what"].startswith(("CPython: ", "Monty, ", "refused: "))
    assert found["model"]["state"] == "todo"
    assert "OPENAI_API_KEY" in found["model"]["fix"]


def test_a_person_reads_one_line_for_each_part_and_what_to_do(program):
    out = program.ok("doctor", columns=60)
    assert "ok    worker     2 * 21 is 42" in out
    # A path stays whole, however long: it may be copied.
    long = (line for line in lines_fit(out, 60) if str(BUNDLED) not in line)
    assert [line for line in long if str(program.home) not in line] == []


def test_a_model_that_answers_is_ok_and_one_that_does_not_is_broken(program):
    with ScriptedServer([]).in_thread() as server:
        flags = ("--base-url", server.base_url, "--model", "scripted-model")
        assert parts(program, *flags)[1]["model"]["state"] == "ok"
    code, found = parts(program, *flags)
    assert (code, found["model"]["state"]) == (1, "broken")
    assert "start the server" in found["model"]["fix"]


def test_a_damaged_database_is_broken_and_does_not_hide_the_other_parts(program):
    program.ok("tool", "list")
    state = next(program.home.rglob("state.db"))
    state.write_bytes(b"this is no database at all" * 100)
    program.damaged = True
    for left in state.parent.glob("state.db-*"):
        left.unlink()
    code, found = parts(program)
    assert code == 1
    assert found["app"]["state"] == "broken"
    assert "move it away" in found["app"]["fix"]
    assert found["worker"]["state"] == "ok"
    said = program("doctor")
    assert "FAIL  app" in said.out
    assert "broken: app" in said.err


def test_a_history_that_somebody_changed_is_broken(program):
    program.ok("tool", "list")
    db = sqlite3.connect(next(program.home.rglob("state.db")))
    db.execute("UPDATE registry_versions SET reason = 'other'")
    db.commit()
    db.close()
    code, found = parts(program)
    assert (code, found["registry"]["state"]) == (1, "broken")


def test_a_home_that_cannot_be_used_is_broken(program):
    file = program.file("file", "x")
    code, found = parts(program, "--home", file)
    assert (code, found["home"]["state"]) == (1, "broken")
    assert "--home" in found["home"]["fix"]


def test_an_app_that_nobody_trusted_is_to_do(program, monkeypatch):
    program.ok("init", "myapp")
    code, found = parts(program, "--app", "myapp")
    assert (code, found["app"]["state"]) == (0, "todo")


@pytest.mark.requirement("004/doctor/embeddings")
def test_an_embedding_model_is_asked_for_a_vector_and_without_an_answer_is_broken(
    program, monkeypatch
):
    monkeypatch.setenv("MICRO_AGI_EMBED_MODEL", "tiny")
    assert parts(program)[1]["embeddings"]["state"] == "todo"
    with ScriptedServer([], vector=lambda text: [1.0, 2.0]).in_thread() as server:
        monkeypatch.setenv("MICRO_AGI_EMBED_URL", server.base_url)
        found = parts(program)[1]["embeddings"]
        assert (found["state"], found["what"]) == (
            "ok",
            f"tiny at {server.base_url}, 2 dimensions",
        )
    code, found = parts(program)
    assert (code, found["embeddings"]["state"]) == (1, "broken")
    assert "by words only" in found["embeddings"]["what"]
    assert "MICRO_AGI_EMBED_URL" in found["embeddings"]["fix"]


@pytest.mark.requirement("004/doctor/ways-out")
def test_a_workspace_that_cannot_be_written_and_a_misspelt_variable_have_a_way_out(
    program, monkeypatch
):
    monkeypatch.setenv("MICRO_AGI_MODLE", "x")
    file = program.file("file", "x")
    code, found = parts(program, "--workspace", f"{file}/below")
    assert code in (1, 2)
    assert "did you mean MICRO_AGI_MODEL?" in found["settings"]["fix"]
    broken = [f for f in found.values() if f["state"] == "broken"]
    assert broken
    assert all(f["fix"] for f in broken)
