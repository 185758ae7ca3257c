"""The attack corpus `bundled/attacks/`: each attack must come to what its head says.

As whoever runs the tests, at every isolation level this machine can show; and, when that is
root, as an ordinary user too.
"""

import asyncio
import collections
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import micro_agi
from micro_agi.errors import ToolFailed
from micro_agi.sandbox.fork_server import LEVELS
from micro_agi.sandbox.prove.corpus import CORPUS, FAMILIES, MONTY, load, read
from micro_agi.sandbox.prove.prove import fails_closed, prove
from tests.sandbox.ordinary_user import CANNOT, as_an_ordinary_user

ATTACKS = {family: load(family) for family in FAMILIES}
ALL = [attack for family in ATTACKS.values() for attack in family]
NOT_MONTY = {family: attacks for family, attacks in ATTACKS.items() if family not in MONTY}
SLOW = ("resources", "ssrf")
"""Families that wait for deadlines, or whose work is done by the parent at every level."""


def proofs_of(levels, corpus):
    async def body():
        return [proof async for proof in prove(levels, corpus=corpus)]

    return asyncio.run(body())


def problems(proof):
    return [str(verdict) for verdict in proof.verdicts if verdict.answer != "held"]


@pytest.fixture(scope="module")
def verdicts():
    """The whole corpus at the strongest level there is; on Monty, where that runs Python tools."""
    found = {verdict.attack.id: verdict for verdict in strongest(NOT_MONTY)}
    (proof,) = proofs_of(["D"], {family: ATTACKS[family] for family in MONTY})
    return found | {verdict.attack.id: verdict for verdict in proof.verdicts}


@pytest.mark.parametrize("attack", ALL, ids=lambda attack: attack.id)
def test_an_attack_comes_to_what_its_head_says(verdicts, attack):
    if attack.id not in verdicts:
        pytest.skip("for another machine or another level, or the extra `monty` is missing")
    assert verdicts[attack.id].answer == "held", verdicts[attack.id]


@pytest.mark.parametrize("level", LEVELS[1:])
def test_a_weaker_level_holds_as_well(level):
    fast = {family: attacks for family, attacks in NOT_MONTY.items() if family not in SLOW}
    (proof,) = proofs_of([level], fast)
    if not proof.verdicts:
        pytest.skip(f"level {level} cannot be shown here: {proof.unavailable}")
    assert problems(proof) == []


PROGRAM = """
import asyncio, json, os
from micro_agi.sandbox.prove.corpus import CPYTHON, FAMILIES, load
from micro_agi.sandbox.prove.prove import prove

SLOW = {"resources", "ssrf"}

async def main():
    found = {"uid": os.getuid(), "levels": {}}
    fast = set(FAMILIES) - SLOW
    for levels, families in (["A"], fast), (["B", "D"], fast - CPYTHON):
        corpus = {family: load(family) for family in families}
        async for proof in prove(levels, corpus=corpus):
            bad = [str(v) for v in proof.verdicts if v.answer != "held"]
            found["levels"][proof.level] = [len(proof.verdicts), proof.unavailable, bad]
    print(json.dumps(found))

asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="all other tests here run as an ordinary user")
def test_the_corpus_holds_for_an_ordinary_user_too():
    done = as_an_ordinary_user(PROGRAM)
    if done.returncode == CANNOT:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["uid"] != 0
    assert found["levels"]["D"][0] > 150
    for level, (_, _, bad) in found["levels"].items():
        assert (level, bad) == (level, [])


def test_the_corpus_is_as_large_as_it_has_to_be():
    assert len(ALL) >= 150
    assert {family: len(attacks) for family, attacks in ATTACKS.items() if len(attacks) < 15} == {}
    stray = {file.parent.name for file in CORPUS.rglob("*.*")} - set(FAMILIES)
    assert stray == set()


def payload(attack):
    """The code without the head, comments, white space and letters' case."""
    lines = [line for line in attack.source.splitlines() if not line.startswith(("-- ", "# "))]
    expectations = attack.facts.get("names", "") + attack.facts.get("trial", "")
    deny = attack.facts.get("deny", "") + attack.facts.get("allow", "")
    return re.sub(r"\s+", "", "".join(lines)) + expectations + deny


def test_no_two_attacks_are_the_same_one_under_another_name():
    counted = collections.Counter(payload(attack) for attack in ALL)
    assert [code for code, times in counted.items() if times > 1] == []


def attack_file(tmp_path, family, name, text):
    file = tmp_path / family / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, "utf-8")
    return read(file)


def strongest(corpus):
    """The verdicts at the strongest level there is; weaker ones are not attacked."""
    for level in LEVELS:
        (proof,) = proofs_of([level], corpus)
        if not proof.unavailable:
            return proof.verdicts
    raise AssertionError("no isolation level is available here")


def answers(corpus):
    return {verdict.attack.name: verdict.answer for verdict in strongest(corpus)}


WOULD_ESCAPE = [
    ("language", "gets.lua", "tool", "error: nothing", "return function() return 'keys' end"),
    ("native", "returns.txt", "machine code", "killed", "result = syscall(228, 0, bytes(16))"),
    ("python", "gets.txt", "python", "error: nothing", "def handler(args): return 'keys'"),
    ("protocol", "lies.txt", "worker", "limit: x", "receive()\nsend(frame(b'\\x92\\x10\\x01'))"),
]


@pytest.mark.parametrize(("family", "name", "run", "expect", "body"), WOULD_ESCAPE)
def test_an_attack_that_gets_something_is_called_escaped(tmp_path, family, name, run, expect, body):
    mark = "--" if name.endswith("lua") else "#"
    head = f"{mark} reason: a test\n{mark} run: {run}\n{mark} expect: {expect}\n"
    attack = attack_file(tmp_path, family, name, head + body)
    assert answers({family: [attack]}) == {attack.name: "escaped"}


def test_a_host_function_or_a_server_that_is_reached_is_an_escape_whatever_comes_back(tmp_path):
    head = "-- reason: a test\n-- run: {}\n-- expect: error: canary\n-- {}\n"
    body = "return function(net) local r = http_client.get({}) error('canary') end"
    trip = head.format("tool", "modules: http_client") + body.format("'http://x/'")
    url = "'http://127.0.0.1:' .. net.secret .. '/'"
    web = head.format("web", "addresses: 127.0.0.1") + body.format(url)
    attacks = [
        attack_file(tmp_path, "ssrf", "web.lua", web),
        attack_file(tmp_path, "ssrf", "trip.lua", trip),
    ]
    assert answers({"ssrf": attacks}) == {"web": "escaped", "trip": "escaped"}


def test_an_attack_that_is_stopped_for_another_reason_differs_but_did_not_escape(tmp_path):
    head = "-- reason: a test\n-- run: tool\n-- expect: error: left\n"
    body = "return function() error('right') end"
    attack = attack_file(tmp_path, "language", "other.lua", head + body)
    assert answers({"language": [attack]}) == {"other": "differs"}


def test_without_the_call_filter_there_is_nothing_to_attack():
    assert asyncio.run(fails_closed())


def test_a_level_below_the_minimum_is_refused_and_not_attacked():
    async def body():
        return [p async for p in prove(["C", "D"], minimum="B", corpus={"language": []})]

    assert [(p.level, p.refused) for p in asyncio.run(body())] == [("C", True), ("D", True)]


def test_bytecode_is_refused(lua):
    with pytest.raises(ToolFailed, match="binary chunk"):
        lua.run("\x1bLuaT")


def test_the_program_of_broken_workers_is_only_run_locked_and_by_name():
    source = Path(micro_agi.__file__).parent / "sandbox" / "prove" / "compromised.py"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import runpy; runpy.run_path({str(source)!r})"],
        capture_output=True,
        env={"PYTHONPATH": ""},
        check=False,
        timeout=20,
    )
    assert done.stdout == b""
