"""`micro-agi doctor --prove`: the matrix, the exit code, and the level that is switched off."""

import asyncio

import pytest

from micro_agi.app import Runtime
from micro_agi.commands import prove
from micro_agi.commands.invocation import invocation
from micro_agi.commands.parse import parse
from micro_agi.errors import SandboxUnavailable
from micro_agi.home import record_proof, switched_off
from micro_agi.sandbox.fork_server import LEVELS
from micro_agi.sandbox.prove.corpus import FAMILIES, MONTY, read
from micro_agi.store.database import Database
from tests.commands.conftest import lines_fit


def run_with(program, attacks, *words):
    """Prove with attacks of our own; return the exit code."""
    command = invocation(parse(["doctor", "--prove", "--home", str(program.home), *words]))
    return asyncio.run(prove.run(command, {"language": attacks}))


def attack(tmp_path, expect):
    file = tmp_path / "language" / "keys.lua"
    file.parent.mkdir(exist_ok=True)
    head = f"-- reason: a test\n-- run: tool\n-- expect: {expect}\n"
    file.write_text(head + "return function() return 'keys' end", "utf-8")
    return read(file)


def off(program):
    database = Database.open(next(program.home.rglob("state.db")))
    try:
        return switched_off(database)
    finally:
        database.close()


def test_all_attacks_at_the_level_that_is_asked_for_hold_and_weaker_ones_are_refused(
    program, monkeypatch
):
    monkeypatch.setenv("MICRO_AGI_ISOLATION", "A")
    said = program("doctor", "--prove", "--json")
    assert said.code == 0
    cells = {(c["family"], c["level"]): c for c in said.json["cells"]}
    assert said.json["fails_closed"]
    assert {cells[family, "B"]["state"] for family in FAMILIES} == {"refused"}
    states = {cells[family, "A"]["state"] for family in FAMILIES if family not in MONTY}
    assert states == {"held"} or states == {"not available"}
    assert cells["python", "A"]["worker"] == "CPython"
    stand_in = cells["monty", "A"]
    assert (stand_in["worker"], stand_in["state"]) == ("Monty", "not available")
    assert stand_in["why"]


def test_a_person_sees_a_row_for_each_family_and_a_column_for_each_level(program, tmp_path, capsys):
    assert run_with(program, [attack(tmp_path, 'value: "keys"')]) == 0
    out = capsys.readouterr().out
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert out.splitlines()[2].split() == ["worker", *LEVELS]
    assert lines["language"].split()[:4] == ["language", "Lua", "1", "held"]
    assert lines["workspace"].split()[:4] == ["workspace", "CPython", "not", "available"]
    assert "without the system call filter: refused" in out
    assert lines_fit(out, 80) == []


def test_a_level_that_lets_something_out_is_switched_off_until_a_later_run_passes(
    program, tmp_path, capsys
):
    assert run_with(program, [attack(tmp_path, "error: nothing")]) == 3
    said = capsys.readouterr()
    assert "1 ESCAPED" in said.out
    assert "language/keys: escaped: expected error nothing; value 'keys'" in said.out
    assert "switched off until a later run passes: level " in said.err
    escaped = off(program)
    assert set(escaped.values()) == {"language/keys"}

    health = program("doctor")
    assert health.code == 1
    assert "is switched off: language/keys escaped" in health.out
    refused = program.refused("call", "app.tools:registry_list", code=1)
    assert "is switched off" in "\n".join(refused)

    assert run_with(program, [attack(tmp_path, 'value: "keys"')]) == 0
    assert off(program) == {}
    assert "proof" not in program.ok("doctor")


def test_the_runtime_says_at_its_start_what_is_switched_off(program):
    command = invocation(parse(["doctor", "--home", str(program.home)]))

    async def body():
        async with await Runtime.open(command.settings) as rt:
            record_proof(rt.database, {level: ["native/socket"] for level in LEVELS})
        async with await Runtime.open(command.settings) as rt:
            with pytest.raises(SandboxUnavailable, match="switched off"):
                await rt.pool.start()
            return rt.notices

    notices = asyncio.run(body())
    assert any("native/socket escaped" in notice for notice in notices)


def test_a_level_that_could_not_be_proved_again_stays_off(program):
    command = invocation(parse(["doctor", "--home", str(program.home)]))
    database = Database.open(command.home / "state.db")
    try:
        record_proof(database, {"A": ["native/socket"], "B": []})
        record_proof(database, {"B": ["native/kill"]})
        assert switched_off(database) == {"A": "native/socket", "B": "native/kill"}
    finally:
        database.close()
