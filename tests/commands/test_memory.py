"""`micro-agi memory`: the same memory as the agent's, for a person."""

import pytest


@pytest.mark.requirement("004/memory/commands")
def test_a_person_adds_finds_reads_changes_and_forgets(program):
    assert "mem_1  Postgres runs on port 5433" in program.ok(
        *("memory", "add", "Postgres", "runs", "on", "port", "5433", "--tag", "ops")
    )
    program.ok("memory", "add", "-", stdin="The web server is called heron\n")
    again = program("memory", "add", "Postgres runs on port 5433")
    assert (again.code, "already" in again.err) == (0, True)
    assert program.ok("memory", "search", "which", "port").splitlines()[1].startswith("mem_1 ")
    assert program.ok("memory", "list", "--tag", "ops").count("mem_") == 1
    changed = program.ok("memory", "update", "mem_1", "Postgres runs on port 5434")
    assert changed.splitlines()[0] == "mem_1  Postgres runs on port 5434"
    assert "by you" in changed
    assert "tags:    ops" in program.ok("memory", "get", "1")
    assert "forgotten: mem_1" in program.ok("memory", "delete", "mem_1")
    page = program("memory", "list", "--json").json
    assert [m["content"] for m in page["memories"]] == ["The web server is called heron"]
    assert page["memories"][0]["from"] == {"actor": "root"}


def test_an_empty_memory_says_how_to_begin_and_wrong_ids_what_they_are(program):
    assert "micro-agi memory add TEXT" in program.ok("memory", "list")
    assert "has these words" in program.ok("memory", "search", "heron")
    [said, *_] = program.refused("memory", "get", "seventeen")
    assert said == "error: `seventeen` is no id of a memory"
    program.refused("memory", "get", "mem_9")
    program.refused("memory", "list", "--limit", "0")
