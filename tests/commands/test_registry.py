"""`micro-agi registry`: look at entries and change them through the door."""

import json
import sqlite3

import pytest

from tests.commands.conftest import lines_fit

NOTE = {"id": "app.notes:one", "kind": "registry.entry", "meta": {"type": "note"}, "data": {"n": 1}}


def change(op="create", **entry):
    return {"op": op, "entry": NOTE | entry}


def apply(program, *changes, **options):
    file = program.file("changes.json", json.dumps(changes))
    return program("registry", "apply", file, **options)


def test_entries_are_listed_by_namespace_and_kind(program):
    out = program.ok("registry", "list", "--namespace", "app", "--kind", "security.*")
    assert [line.split()[0] for line in out.splitlines()[1:]] == [
        "app:allow_generated",
        "app:deny_core_ns",
        "app:deny_tools_ns",
    ]


def test_every_listing_fits_into_sixty_columns(program):
    apply(program, change(meta={"type": "note", "comment": "very " * 50}))
    for words in (["list"], ["find", "meta.type=note"], ["history"]):
        assert lines_fit(program.ok("registry", *words, columns=60), 60) == []


def test_without_a_terminal_nothing_is_cut(program):
    apply(program, change(meta={"comment": "very " * 50 + "end"}))
    assert "very end" in program.ok("registry", "list", "--namespace", "app.notes")


def test_an_empty_namespace_names_those_that_are_there(program):
    said = program("registry", "list", "--namespace", "nothing")
    assert (said.code, said.out[:16]) == (0, "No entry matches")
    assert "app.tools" in said.err


@pytest.mark.parametrize("words", [["meta.type=tool", "ns=app.tools"], ['{"ns": "app.tools"}']])
def test_find_takes_words_or_one_object(program, words):
    found = program("registry", "find", *words, "--json").json
    assert {e["id"].partition(":")[0] for e in found} == {"app.tools"}


def test_find_reads_values_as_json_where_they_are(program):
    apply(program, change(meta={"type": "note", "n": 5}))
    assert len(program("registry", "find", "meta.n=5", "--json").json) == 1


def test_a_name_that_looks_like_a_number_is_still_a_name(program):
    apply(program, change(id="app.notes:5"))
    assert len(program("registry", "find", "name=5", "--json").json) == 1


@pytest.mark.parametrize("words", [["nope=1"], ["word"], ["=x"], ["{broken"]])
def test_a_criterion_that_is_not_understood_is_refused(program, words):
    assert len(program.refused("registry", "find", *words)) == 3


def test_an_entry_is_shown_as_text_and_as_json(program):
    assert '"registry.*"' in program.ok("registry", "show", "app:allow_generated")
    shown = program("registry", "show", "app:allow_generated", "--json").json
    assert (shown["kind"], shown["revision"]) == ("security.policy", 0)


def test_an_unknown_entry_names_the_nearest(program):
    assert "app:dev_assistant" in program.refused("registry", "show", "app:dev_asistant")[-1]


def test_a_change_set_is_applied_as_one_version_with_its_reason(program):
    file = program.file("changes.json", json.dumps([change(), change(id="app.notes:two")]))
    said = program("registry", "apply", file, "--reason", "two notes")
    assert said.out == "wrote v1\n  + app.notes:one\n  + app.notes:two\n"
    assert "two notes" in program.ok("registry", "history", "app.notes:one")


def test_a_change_set_may_be_yaml_and_come_through_a_pipe(program):
    text = "- op: create\n  entry:\n    id: app.notes:one\n    kind: registry.entry\n"
    assert program("registry", "apply", "-", stdin=text).out.startswith("wrote v1")


def test_a_change_set_that_does_not_fit_changes_nothing(program):
    said = apply(program, change(id="app.notes:two"), change("delete", id="app.notes:nope"))
    assert said.code == 2
    assert "nothing to delete" in said.err
    assert program("registry", "show", "app.notes:two").code == 2


def test_what_the_runtime_itself_provides_cannot_be_written_even_by_root(program):
    assert apply(program, change(id="system:x")).code == 3


def test_an_expected_revision_that_is_not_the_real_one_is_a_conflict(program):
    apply(program, change())
    said = apply(program, {**change("update"), "expected_revision": 9})
    assert said.code == 1
    assert "is at revision 1" in said.err


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("{}", "c.yaml", "must be a list"),
        ("[]", "c.yaml", "must be a list"),
        ("- 5\n", "c.yaml:1:3", "must be a map"),
        ("- entry: {}\n", "c.yaml:1:3", "`op` is missing"),
        ("- op: craete\n  entry: {}\n", "c.yaml:1:7", "`craete` is no operation"),
        ("- op: create\n  entri: {}\n", "c.yaml:2:10", "unknown key `entri`"),
        ("- op: create\n  entry: {id: a:b}\n", "c.yaml:2:10", "kind"),
        ("- op: create\n", "c.yaml:1", "id"),
        ("- op: delete\n", "c.yaml:1", "id"),
        ("- op: [\n", "c.yaml:", "YAML"),
    ],
)
def test_a_wrong_change_set_is_refused_with_file_line_and_column(program, text, where, what):
    program.file("c.yaml", text)
    lines = program.refused("registry", "apply", "c.yaml")
    assert what in lines[0]
    assert lines[1].startswith(f"  where: {where}")


def test_versions_are_listed_newest_first_and_older_ones_are_counted(program):
    apply(program, change())
    apply(program, change("update", data={"n": 2}))
    said = program("registry", "history", "--limit", "1")
    assert said.out.splitlines()[1].startswith("v2 ")
    assert "2 older ones" in said.err
    assert [v["version"] for v in program("registry", "history", "--json").json] == [2, 1, 0]


def test_two_versions_of_an_entry_are_compared(program):
    apply(program, change())
    assert "only one version" in program.refused("registry", "diff", "app.notes:one")[0]
    apply(program, change("update", data={"n": 2}))
    assert program.ok("registry", "diff", "app.notes:one").endswith("-data.n: 1\n+data.n: 2\n")
    assert "+data.n: 1" in program.ok("registry", "diff", "app.notes:one", "2", "1")
    assert "are the same" in program.ok("registry", "diff", "app.notes:one", "1", "1")
    assert "v9" in program.refused("registry", "diff", "app.notes:one", "1", "9")[1]


def test_a_rollback_shows_what_it_will_do_asks_and_goes_forward(program):
    apply(program, change())
    apply(program, change("update", data={"n": 2}), change(id="app.notes:two"))
    refused = program("registry", "rollback", "--to", "1")
    assert refused.code == 3
    assert refused.err.startswith("  ~ app.notes:one\n  - app.notes:two\n")
    said = program("registry", "rollback", "--to", "1", "--yes")
    assert sorted(said.out.splitlines()) == ["  - app.notes:two", "  ~ app.notes:one", "wrote v3"]
    assert program("registry", "show", "app.notes:one", "--json").json["data"] == {"n": 1}
    assert program("registry", "show", "app.notes:one", "--at", "2", "--json").json["data"] == {
        "n": 2
    }


def test_a_rollback_leaves_policies_as_they_are(program):
    policy = {
        "id": "app:more",
        "kind": "security.policy",
        "data": {"policy": {"actions": "*", "resources": "x:*", "effect": "deny"}},
    }
    apply(program, {"op": "create", "entry": policy})
    said = program("registry", "rollback", "--to", "0", "--yes")
    assert (said.code, said.out) == (0, "")
    assert program.refused("registry", "rollback", "app:more", "--to", "0", "--yes", code=3)


def test_a_rollback_to_an_unknown_version_or_of_an_unknown_entry_is_refused(program):
    assert "v9" in program.refused("registry", "rollback", "--to", "9")[1]
    assert "not found" in program.refused("registry", "rollback", "app:nope", "--to", "0")[0]


def test_an_export_is_imported_elsewhere_and_only_what_differs_is_written(program):
    apply(program, change())
    assert "wrote" in program("registry", "export", "all.json").err
    program.ok("registry", "rollback", "app.notes:one", "--to", "0", "--yes")
    asked = program("registry", "import", "all.json")
    assert (asked.code, asked.err[:18]) == (3, "  + app.notes:one\n")
    assert program.ok("registry", "import", "all.json", "--yes").endswith("  + app.notes:one\n")
    again = program("registry", "import", "all.json", "--yes")
    assert (again.code, again.out) == (0, "")


def test_an_export_of_one_namespace_goes_to_standard_output(program):
    value = program("registry", "export", "--namespace", "app.tools").json
    assert value["format"] == "micro-agi/entries/1"
    assert len(value["entries"]) == 5


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"format": "micro-agi/entries/1"}', '{"format": "other", "entries": []}']
)
def test_what_is_no_export_is_not_imported(program, text):
    program.file("x.json", text)
    assert "no export" in program.refused("registry", "import", "x.json")[0]


def test_an_export_with_a_broken_entry_names_its_number(program):
    program.file("x.json", '{"format": "micro-agi/entries/1", "entries": [{"id": "a:b"}]}')
    assert "entries[0]" in program.refused("registry", "import", "x.json")[1]


def test_a_history_that_somebody_changed_is_found(program):
    apply(program, change())
    assert program.ok("registry", "verify").startswith("ok: all versions up to v1")
    state = next(program.home.rglob("state.db"))
    db = sqlite3.connect(state)
    db.execute("UPDATE registry_versions SET actor = 'somebody' WHERE id = 1")
    db.commit()
    db.close()
    said = program("registry", "verify")
    assert said.code == 1
    assert said.out.startswith("broken at v1")
    assert program("registry", "verify", "--json").json["broken"]["version"] == 1
