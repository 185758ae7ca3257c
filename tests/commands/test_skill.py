"""`micro-agi skill`: promote, list, export, import, undo."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from micro_agi.messages import Warned
from micro_agi.testing.transcript import run_transcript, scripted_runtime

SOURCE = '''
def double(number: float) -> float:
    """Double a number. Twice as much."""
    return number * 2
'''
FRONT = "---\nname: {name}\ndescription: Doubles a number.\n---\n\nDo it.\n"


@pytest.fixture
def promoted(program):
    file = program.file("doubling.py", SOURCE)
    program.ok("skill", "promote", file, "double", "twice")
    return file


def folder(program, name="twice-as-much", *, front=FRONT, **scripts):
    """Write a folder as somebody else would."""
    program.file(f"{name}/SKILL.md", front.format(name=name))
    for script, text in (scripts or {"double": SOURCE}).items():
        program.file(f"{name}/scripts/{script}.py", text)
    return str(program.directory / name)


@pytest.mark.requirement("004/skills/commands")
def test_a_person_promotes_lists_undoes_and_disables(program, promoted):
    assert json.loads(program.ok("call", "app.generated:twice", '{"number": 4}')) == 8
    [skill] = program("--json", "skill", "list").json
    assert (skill["id"], skill["function"], skill["tests"]) == ("app.generated:twice", "double", 0)
    program.file("doubling.py", SOURCE.replace("* 2", "* 2.5"))
    program.ok("skill", "promote", promoted, "double", "twice")
    assert json.loads(program.ok("call", "app.generated:twice", '{"number": 4}')) == 10
    program.ok("--yes", "skill", "rollback", "twice")
    assert json.loads(program.ok("call", "app.generated:twice", '{"number": 4}')) == 8
    listed = program.ok("skill", "list")
    assert "twice" in listed
    assert "Double a number" in listed
    program.ok("skill", "disable", "twice")
    assert "No skills yet" in program.ok("skill", "list")
    program.refused("call", "app.generated:twice", '{"number": 4}')


@pytest.mark.requirement("004/skills/refused")
def test_what_a_person_promotes_is_refused_by_the_same_rules(program):
    file = program.file("bad.py", "def f(a):\n    'Say.'\n")
    assert "(rule `unannotated`)" in program.refused("skill", "promote", file, "f", code=1)[0]
    assert "No skills yet" in program.ok("skill", "list")


@pytest.mark.requirement("004/skills/folders")
def test_a_skill_goes_out_as_a_folder_and_comes_back_with_its_tests(program):
    draft = {
        "name": "twice_as_much",
        "description": 'Double: "a" number --- ünï',
        "language": "python",
        "function": "double",
        "source": SOURCE,
        "tests": [{"args": {"number": 1}, "expect": 2}],
    }
    program.ok("tool", "create", program.file("draft.json", json.dumps(draft)))
    [before] = program("--json", "skill", "list").json
    shown = program("--json", "skill", "show", "twice_as_much").json
    out = Path(
        program.ok("skill", "export", "twice_as_much", str(program.directory / "out")).strip()
    )
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*.*")) == [
        *("SKILL.md", "scripts/twice_as_much.py", "scripts/twice_as_much.tests.json"),
    ]
    assert out.name == "twice-as-much"
    assert program.refused("skill", "export", "twice_as_much", str(out.parent))
    program.ok("skill", "disable", "twice_as_much")
    assert "1 test passed" in program.ok("skill", "import", str(out))
    [after] = program("--json", "skill", "list").json
    assert {**after, "version": 0} == {**before, "version": 0}
    assert program("--json", "skill", "show", "twice_as_much").json["hash"] == shown["hash"]
    # What it brings as tests has to pass.
    tests = out / "scripts" / "twice_as_much.tests.json"
    tests.write_text('[{"args": {"number": 1}, "expect": 3}]')
    refused = program.refused("skill", "import", str(out), code=1)
    assert "expected 3, got 2" in refused[0]


@pytest.mark.requirement("004/skills/folders")
def test_a_folder_from_elsewhere_is_untested_until_it_has_tests(program):
    said = program.ok("skill", "import", folder(program))
    assert "untested" in said
    [skill] = program("--json", "skill", "list").json
    assert (skill["id"], skill["function"]) == ("app.generated:twice_as_much", "double")
    assert json.loads(program.ok("call", "app.generated:twice_as_much", '{"number": 4}')) == 8


@pytest.mark.requirement("004/skills/folders")
def test_a_folder_that_is_wrong_says_what_and_imports_nothing(program):
    two = SOURCE + SOURCE.replace("double", "triple")
    meta = FRONT.replace("\n---\n", "\nmetadata: {{micro-agi-script: %s}}\n---\n", 1)
    outside = program.file("secret.py", SOURCE)
    linked = folder(program, "linked")
    os.unlink(f"{linked}/scripts/double.py")
    os.symlink(outside, f"{linked}/scripts/double.py")
    around = folder(program, "around")
    shutil.rmtree(f"{around}/scripts")
    os.mkdir(f"{program.directory}/elsewhere")
    shutil.copy(outside, f"{program.directory}/elsewhere/double.py")
    os.symlink(f"{program.directory}/elsewhere", f"{around}/scripts")
    for path, says in (
        (str(program.directory / "nowhere"), "cannot be read"),
        (folder(program, "no-front", front="# hello\n"), "no front matter"),
        (folder(program, "other", front=FRONT.replace("{name}", "another")), "in another folder"),
        (folder(program, "Upper"), "is no name of a skill"),
        (folder(program, "short", front="---\nname: short\n---\n"), "`description` is missing"),
        (folder(program, "many", a=SOURCE, b=SOURCE), "which script is the tool? there is: a.py"),
        (folder(program, "both", a=two), "which function is the tool? there is: double, triple"),
        (folder(program, "climbs", front=meta % "../secret.py"), "lies outside the folder"),
        (folder(program, "root", front=meta % outside), "lies outside the folder"),
        (linked, "is a link"),
        (around, "is a link"),
        (folder(program, "big", a="#" * 300_000), "is larger than"),
        (folder(program, "bad-code", a="def f(:\n"), "(rule `syntax`)"),
    ):
        assert says in program.refused("skill", "import", path)[0], path
    reaching = folder(program, "reaching", a='def f(a: int):\n    "Say."\n    import os\n')
    refused = program.refused("skill", "import", reaching, code=1)
    assert "line 3: tools may not import `os`" in refused[0]
    assert "No skills yet" in program.ok("skill", "list")


def test_a_users_skill_is_there_for_the_assistant_in_that_users_next_session_alone(program):
    file = program.file("doubling.py", SOURCE)
    # Nothing was done for this user before.
    program.ok("--user", "alice", "skill", "promote", file, "double", "twice")

    def tools_of(*user):
        return asyncio.run(offered(str(program.home), *user))

    async def offered(home, user=""):
        async with scripted_runtime(["hi"], home=home, user=user) as played:
            [turn] = await run_transcript(played.runtime, "hello", agent="local:assistant")
            assert turn.of(Warned) == []
            return [tool.name for tool in played.model.requests[0].tools]

    assert "twice" in tools_of("alice")
    assert "twice" not in [*tools_of("bob"), *tools_of()]
