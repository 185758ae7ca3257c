"""`session replay` and `session delete`: what a person reads, what a machine reads, exit codes."""

import asyncio
import shutil
import sqlite3

import pytest

from micro_agi.testing.transcript import run_transcript, scripted_runtime
from tests.commands.conftest import lines_fit
from tests.half import HALF, ID, TURN

ROUNDED = {
    **HALF,
    "description": "Halve a number, rounded down",
    "source": "return { handler = function(a) return { half = a.n // 2 } end }",
}
PLAYED = [*TURN, "nothing"]
WHOLE = "4 of 4 model requests rebuilt byte for byte; journal and registry hold together\n"


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A home with a session that made a tool, which has another version since, and one without."""
    place = tmp_path_factory.mktemp("record") / "home"

    async def scenario():
        async with scripted_runtime(PLAYED, home=str(place)) as play:
            await run_transcript(play.runtime, "halve 3 and 8", session="halving")
            await play.runtime.gate.native(ROUNDED, play.runtime.root())
            await run_transcript(play.runtime, "what else?", session="other")

    asyncio.run(scenario())
    return place


@pytest.fixture
def state(program, played):
    """The state database of a copy of that home, which the program has."""
    shutil.copytree(played, program.home)
    [path] = program.home.rglob("state.db")
    return path


def changed(state, statement):
    with sqlite3.connect(state) as db:
        assert db.execute(statement).rowcount == 1


@pytest.mark.requirement("006/replay/identical")
def test_a_whole_record_is_said_to_be_whole(program, state):
    assert program.ok("session", "replay", "halving") == WHOLE
    found = program("session", "replay", "halving", "--json").json
    assert (found["session"], found["identical"], found["damage"]) == ("halving", True, [])
    assert [(r["turn"], r["step"], r["verdict"]) for r in found["requests"]] == [
        (1, step, "identical") for step in (1, 2, 3, 4)
    ]


@pytest.mark.requirement("006/replay/damage")
def test_a_flipped_byte_is_located_for_people_and_machines(program, state):
    program.damaged = True
    body = "CAST(replace(CAST(body AS TEXT), '1.5', '2.5') AS BLOB)"
    which = "kind = 'tool_call_finished' AND CAST(body AS TEXT) LIKE '%1.5%'"
    changed(state, f"UPDATE journal SET body = {body} WHERE {which}")
    said = program("session", "replay", "halving", columns=90)
    assert (said.code, lines_fit(said.out, 90)) == (1, [])
    *table, where, what, verdict = said.out.splitlines()
    place = where.partition("journal row halving/")[2]
    number = int(place.split()[0])
    assert where.split()[0] == "damaged:"
    assert place.endswith("(tool_call_finished, turn 1)")
    assert what.endswith(f"event {number} is not as it was written")
    assert verdict == "3 of 4 model requests rebuilt byte for byte"
    assert table[0].split() == ["EVENT", "TURN", "STEP", "MODEL", "REQUEST"]
    assert table[1].split()[1:] == ["1", "4", "scripted", "different"]
    found = program("session", "replay", "halving", "--json")
    assert (found.code, found.json["identical"]) == (1, False)
    [damage] = found.json["damage"]
    assert damage["where"].startswith(f"journal row halving/{number} ")


@pytest.mark.requirement("006/replay/damage")
def test_a_changed_version_of_the_registry_is_located(program, state):
    program.damaged = True
    changed(state, "UPDATE registry_versions SET reason = 'else' WHERE id = 1")
    said = program("session", "replay", "halving")
    assert said.code == 1
    assert "registry version v1\n" in said.out
    assert said.out.endswith("4 of 4 model requests rebuilt byte for byte\n")


@pytest.mark.requirement("006/replay/what-if")
def test_another_version_of_a_tool_says_what_would_have_been_different(program, state):
    said = program("session", "replay", "halving", "--with", f"{ID}@v2", columns=80)
    assert (said.code, lines_fit(said.out, 80)) == (1, [])
    lines = said.out.splitlines()
    assert lines[0] == "from turn 1, step 3 on the model would have been shown another tool:"
    assert [" ".join(line.split()) for line in lines[1:3]] == [
        "description was: Halve a number",
        "instead: Halve a number, rounded down",
    ]
    assert lines[3].endswith('turn 1: {"n":3}')
    assert [" ".join(line.split()) for line in lines[4:6]] == [
        'was: {"half":1.5}',
        'instead: {"half":1}',
    ]
    assert lines[-1].endswith("of 2 calls would have had the same result")
    found = program("session", "replay", "halving", "--with", f"{ID}@v2", "--json")
    assert (found.code, found.json["calls"][0]["different"]) == (1, True)


@pytest.mark.requirement("006/replay/what-if")
def test_the_version_that_ran_makes_no_difference(program, state):
    wanted = ("session", "replay", "halving", "--with", f"{ID}@v1")
    assert program.ok(*wanted) == "2 of 2 calls would have had the same result\n"
    assert not any(call["different"] for call in program(*wanted, "--json").json["calls"])


@pytest.mark.requirement("006/replay/what-if")
def test_a_tool_that_a_session_never_called_is_said_so(program, state):
    said = program.ok("session", "replay", "other", "--with", f"{ID}@v2")
    assert said == f"session `other` never called `{ID}`\n"


@pytest.mark.parametrize(
    ("words", "said", "fix"),
    [
        (["replay", "halvin"], "there is no session `halvin`", "did you mean: halving"),
        (["replay", "halving", "--with", ID], f"`{ID}` names no version", "write ID@vN"),
        (["replay", "halving", "--with", f"{ID}@v9"], "has no version v9", "there are: v1, v2"),
        (["replay", "halving", "--with", "app.generated:no@v1"], "no version v1", "tool list"),
        (["delete", "other", "halvin"], "there is no session `halvin`", "did you mean: halving"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(program, state, words, said, fix):
    first, *_, last = program.refused("session", *words)
    assert said in first
    assert last.startswith("  fix: ")
    assert fix in last
    assert len(program("session", "list", "--json").json) == 2


@pytest.mark.requirement("006/results/owned")
def test_a_session_is_removed_for_good_once_somebody_agrees(program, state):
    first, where, fix = program.refused("session", "delete", "halving", code=3)
    assert first == "error: nobody is here to confirm this"
    assert where == "  where: Remove 1 session for good: halving?"
    assert fix == "  fix: add --yes to agree"
    said = program.ok("session", "delete", "halving", "halving", "--yes")
    assert said.startswith("removed 1 session, ")
    assert said.endswith(" bytes of stored texts\n")
    assert [row["id"] for row in program("session", "list", "--json").json] == ["other"]
    assert program("session", "replay", "halving").code == 2
    # What other sessions refer to, and what it wrote to the registry, stays.
    assert program.ok("session", "replay", "other").startswith("1 of 1 model request rebuilt")
    assert ID in program.ok("tool", "list")
    found = program("session", "delete", "other", "--yes", "--json").json
    assert (found["deleted"], found["freed_bytes"] > 0) == (["other"], True)
    with sqlite3.connect(state) as db:
        for table in ("sessions", "journal", "blobs", "blob_uses", "standings", "leases"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
