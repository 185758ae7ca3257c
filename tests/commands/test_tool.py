"""`micro-agi tool`: list, look, test, undo, disable, bring in."""

import json

import pytest

from tests.commands.conftest import DOUBLE, lines_fit


def test_the_tools_of_the_app_are_listed_with_version_and_purpose(program):
    out = program.ok("tool", "list")
    row = next(line for line in out.splitlines() if line.startswith("app.tools:create_tool "))
    assert row.split()[1] == "v0"


@pytest.mark.requirement("design/12/effect-classes")
def test_listings_say_what_may_happen_to_a_call_that_was_cut_off(program, double):
    listed = {t["name"]: t["effects"] for t in program("tool", "list", "--json").json}
    assert (listed["create_tool"], listed["double"]) == ("idempotent", "replayable")
    assert (listed["read_result"], listed["shell"]) == ("replayable", "effect")
    row = next(line for line in program.ok("tool", "list").splitlines() if "double" in line)
    assert row.split()[3] == "replayable"
    assert "replayable: has no effect outside" in program.ok("tool", "show", "double")


def test_a_created_tool_is_listed_with_its_number_of_tests(program, double):
    row = next(line for line in program.ok("tool", "list").splitlines() if "generated" in line)
    assert row.split()[:3] == ["app.generated:double", "v1", "1"]


def test_a_tool_without_tests_is_marked_untested_wherever_it_is_listed(program):
    head, _, code = DOUBLE.partition("tests:")
    file = program.file("double.lua", head + code.partition("}\n")[2])
    assert "untested" in program.ok("tool", "create", file)
    assert "untested" in program.ok("tool", "list")
    assert "untested" in program.ok("tool", "show", "double")
    assert "untested" in program.ok("tool", "history", "double")
    assert "none" in program.ok("tool", "test", "double")


def test_every_listing_fits_into_sixty_columns(program, double):
    for words in (["list"], ["history", "double"], ["history", "app.generated:double"]):
        assert lines_fit(program.ok("tool", *words, columns=60), 60) == []


def test_for_machines_the_list_is_json(program, double):
    tools = program("tool", "list", "--json").json
    mine = next(t for t in tools if t["name"] == "double")
    assert (mine["id"], mine["version"], mine["tests"]) == ("app.generated:double", 1, 1)


def test_a_tool_is_shown_with_origin_schema_and_source(program, double):
    out = program.ok("tool", "show", "double")
    assert "written: v1 by root" in out
    assert "return { result = input.n * 2 }" in out
    assert '"required":["n"]' in out


@pytest.mark.parametrize("name", ["double", "app.generated:double"])
def test_a_tool_is_found_by_name_and_by_id(program, double, name):
    assert program("tool", "show", name, "--json").json["id"] == "app.generated:double"


@pytest.mark.parametrize("verb", ["show", "test", "history", "diff", "rollback", "disable"])
def test_an_unknown_tool_names_the_nearest(program, double, verb):
    lines = program.refused("tool", verb, "duoble")
    assert lines[0] == "error: there is no tool `duoble`"
    assert "double" in lines[-1]


def test_what_is_no_tool_is_refused_as_one(program):
    assert "is no tool" in program.refused("tool", "show", "app:os_env")[0]


def test_stored_tests_run_again_and_a_failing_one_fails_the_command(program, double):
    assert program.ok("tool", "test", "double") == "ok    app.generated:double: 1 test passed\n"
    entry = program("registry", "show", "app.generated:double", "--json").json
    data = {**entry["data"], "tests": [{"args": {"n": 1}, "expect": {"result": 3}}]}
    change = {"op": "update", "entry": {**entry, "data": data}}
    for key in ("revision", "hash"):
        del change["entry"][key]
    program.ok("registry", "apply", program.file("change.json", json.dumps([change])))
    said = program("tool", "test")
    assert said.code == 1
    assert 'expected {"result":3}, got {"result":2}' in said.out
    assert program("tool", "test", "--json").json[0]["failures"]


def test_without_any_tests_the_command_says_what_to_look_at(program):
    assert "micro-agi tool show" in program.ok("tool", "test")


def test_an_update_is_one_more_version_and_a_rollback_goes_back(program, double):
    program.file("double.lua", DOUBLE.replace("input.n * 2", "input.n + input.n"))
    assert program.ok("tool", "create", double).startswith("updated app.generated:double (v2")
    assert "+    return { result = input.n + input.n }" in program.ok("tool", "diff", "double")
    assert "v2" in program.ok("tool", "history", "double").splitlines()[1]
    said = program("tool", "rollback", "double", "--yes")
    assert said.code == 0
    assert "-    return { result = input.n + input.n }" in said.err
    assert "input.n * 2" in program.ok("tool", "show", "double")


def test_the_same_draft_again_changes_nothing(program, double):
    assert program.ok("tool", "create", double).startswith("unchanged app.generated:double (v1")


def test_a_rollback_needs_a_persons_yes(program, double):
    program.ok("tool", "create", program.file("double.lua", DOUBLE.replace("* 2", "* 2.0")))
    lines = program.refused("tool", "rollback", "double", code=3)
    assert lines[-1] == "  fix: add --yes to agree"
    assert "* 2.0" in program.ok("tool", "show", "double")


def test_a_rollback_to_what_it_is_changes_nothing(program, double):
    said = program("tool", "rollback", "double", "--to", "1")
    assert (said.code, said.out) == (0, "")
    assert "nothing to do" in said.err


def test_a_rollback_to_an_unknown_version_is_refused(program, double):
    assert "v9" in program.refused("tool", "rollback", "double", "--to", "9", "--yes")[1]


def test_a_rollback_to_before_a_tool_existed_takes_it_away(program, double):
    out = program.ok("tool", "rollback", "double", "--to", "0", "--yes")
    assert out == "wrote v2\n  - app.generated:double\n"


def test_a_rollback_of_the_only_version_says_how_to_disable_instead(program, double):
    assert "tool disable double" in program.refused("tool", "rollback", "double")[-1]


def test_a_disabled_tool_is_gone_keeps_its_history_and_comes_back(program, double):
    said = program("tool", "disable", "double", "--reason", "not needed")
    assert said.code == 0
    assert "`micro-agi tool rollback double` brings it back" in said.err
    assert "app.generated:double" not in program.ok("tool", "list")
    assert "app.generated:double" in program("tool", "list").err
    assert "rollback double" in program.refused("tool", "show", "double")[-1]
    assert "not needed" in program.ok("tool", "history", "double")
    program.ok("tool", "rollback", "double", "--yes")
    assert program("call", "app.generated:double", '{"n": 4}').json == {"result": 8}


def test_a_tool_of_the_app_cannot_be_disabled_from_here(program):
    assert "comes from the app's files" in program.refused("tool", "disable", "load_tool")[0]


def test_a_draft_in_yaml_or_json_is_taken_too(program):
    draft = {
        "name": "one",
        "description": "Return one",
        "source": "return { handler = function() return 1 end }",
    }
    yaml = program.file("one.yaml", "\n".join(f"{k}: '{v}'" for k, v in draft.items()))
    assert program.ok("tool", "create", yaml).startswith("created app.generated:one")
    as_json = program.file("two.json", json.dumps({**draft, "name": "two"}))
    said = program("tool", "create", as_json, "--json")
    assert said.json["id"] == "app.generated:two"
    assert said.json["report"]["tests"]["untested"] is True


def test_a_failing_trial_names_the_step_and_the_file(program):
    file = program.file("double.lua", DOUBLE.replace("* 2", "* 3"))
    lines = program.refused("tool", "create", file, code=1)
    assert 'expected {"result":42}, got {"result":63}' in lines[0]
    assert lines[1] == f"  where: gate step trial, {file}"


def test_an_error_in_a_lua_file_is_at_the_files_own_line(program):
    broken = program.file("double.lua", DOUBLE.replace("* 2", "* "))
    assert program.refused("tool", "create", broken, code=1)[1] == (
        f"  where: gate step source, {broken}:12, {broken}"
    )
    blocked = program.file("double.lua", DOUBLE.replace("input.n * 2", "debug.sethook()"))
    assert "line 12: " in program.refused("tool", "create", blocked, code=1)[0]


def test_a_policy_refusal_has_its_own_exit_code(program):
    file = program.file("x.lua", DOUBLE.replace("name: double", "name: load_tool"))
    assert "belongs to `app.tools:load_tool`" in program.refused("tool", "create", file, code=3)[0]


def test_another_writers_version_is_not_overwritten_unseen(program, double):
    program.file("double.lua", DOUBLE.replace("* 2", "* 2.0"))
    said = program("tool", "create", double, "--expected-revision", "7")
    assert said.code == 1
    assert "is at revision 1" in said.err


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("a.lua", "return {}", "a.lua:1"),
        ("a.lua", "--[[\nname: [a\n]]\nreturn {}", "a.lua:3"),
        ("a.lua", "--[[\nname: a\nsource: b\n]]\nreturn {}", "a.lua:1"),
        ("a.yaml", "name: a\n  b: c\n", "a.yaml:2"),
        ("a.yaml", "name: a\nname: b\n", "a.yaml:2"),
        ("a.json", '{"name": }', "a.json:1:10"),
    ],
)
def test_a_file_that_cannot_be_read_names_its_line(program, name, text, where):
    program.file(name, text)
    lines = program.refused("tool", "create", name)
    assert lines[1].startswith(f"  where: {where}")


def test_a_missing_file_is_named(program):
    assert "cannot be read" in program.refused("tool", "create", "nowhere.lua")[0]


def test_a_draft_may_come_through_a_pipe(program):
    draft = "name: one\ndescription: One\nsource: return { handler = function() return 1 end }\n"
    assert program.ok("tool", "create", "-", stdin=draft).startswith("created app.generated:one")
