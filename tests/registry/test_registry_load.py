"""Apps on disk: index files, `file://`, project files, and the errors that stop a start."""

import os
import re
from pathlib import Path

import pytest

from micro_agi.errors import EntryConflict, InputInvalid
from micro_agi.registry.load import content_hash, is_app, load_app
from micro_agi.registry.project import HistoryConfig, LoggerConfig, ModuleConfig, load_project
from micro_agi.security.policy import parse_policy


def app(tmp_path, **files):
    """Write files, `src/_index.yaml` under the name `index`, and return the directory."""
    (tmp_path / "src").mkdir(exist_ok=True)
    if "index" in files:
        files["src/_index.yaml"] = files.pop("index")
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    return tmp_path


def loaded(tmp_path, **files):
    return {e.id: e for e in load_app(app(tmp_path, **files)).entries}


def refused(tmp_path, error=InputInvalid, **files):
    with pytest.raises(error) as caught:
        load_app(app(tmp_path, **files))
    return caught.value


SEED = """
version: "1.0"
namespace: app

entries:
  - name: deny_core_ns
    kind: security.policy
    policy:
      actions: "*"
      resources: "app:*"
      effect: deny
    groups:
      - agent_security
  - name: dev_assistant
    kind: registry.entry
    meta:
      type: agent.gen1
      name: dev_assistant
    prompt: |
      Rules: ${nothing}
    tools:
      - "app.tools:*"
  - name: agent
    kind: process.lua
    meta: {command: {name: agent, short: Start}}
    source: file://agent.lua
    method: main
    modules: [io, json, process, channel, funcs, registry, time, security]
    imports: {prompt: "wippy.llm:prompt"}
"""


def test_the_seeds_index_becomes_entries(tmp_path):
    found = loaded(tmp_path, index=SEED, **{"src/agent.lua": "return {}\n"})
    assert list(found) == ["app:deny_core_ns", "app:dev_assistant", "app:agent"]
    deny = parse_policy("app:deny_core_ns", found["app:deny_core_ns"].data)
    assert (deny.effect, deny.groups) == ("deny", ("app:agent_security",))
    agent = found["app:dev_assistant"]
    assert agent.meta == {"type": "agent.gen1", "name": "dev_assistant"}
    assert agent.data == {"prompt": "Rules: ${nothing}\n", "tools": ["app.tools:*"]}
    assert found["app:agent"].data["source"] == "return {}\n"


def test_a_key_called_data_is_the_data(tmp_path):
    index = "namespace: a\nentries: [{name: x, kind: registry.entry, data: {y: 1}, z: 2}]"
    assert loaded(tmp_path, index=index)["a:x"].data == {"y": 1}


def test_one_entry_may_be_the_whole_file(tmp_path):
    text = "namespace: a\nversion: 1\nname: x\nkind: registry.entry\nmeta: {t: 1}\ny: 2\n"
    found = loaded(tmp_path, **{"src/deep/er/one.yml": text})["a:x"]
    assert (found.meta, found.data) == ({"t": 1}, {"y": 2})


def test_meta_of_the_file_lies_under_that_of_each_entry(tmp_path):
    index = (
        "namespace: a\nmeta: {one: 1, two: {x: 1}}\n"
        "entries: [{name: x, kind: registry.entry, meta: {two: {y: 2}}},"
        " {name: y, kind: registry.entry, meta: nonsense}]"
    )
    found = loaded(tmp_path, index=index)
    assert found["a:x"].meta == {"one": 1, "two": {"y": 2}}
    assert found["a:y"].meta == {"one": 1, "two": {"x": 1}}


def test_files_are_put_in_place_of_their_names_anywhere(tmp_path):
    index = (
        "namespace: a\nentries: [{name: x, kind: registry.entry, "
        "meta: {m: file://t.txt}, list: [{deep: 'file:///b.txt'}], plain: 'see file://t.txt'}]"
    )
    files = {"src/sub/_index.yaml": index, "src/sub/t.txt": "T", "src/b.txt": "file://t.txt"}
    found = loaded(tmp_path, **files)["a:x"]
    assert found.meta == {"m": "T"}
    assert found.data == {"list": [{"deep": "file://t.txt"}], "plain": "see file://t.txt"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("file://", "names no file"),
        ("file:///", "names no file"),
        ("file://none.txt", "does not exist"),
        ("file://../secret.txt", "leads out"),
        ("file:///../secret.txt", "leads out"),
        ("file:///etc/passwd", "does not exist"),
        ("file://link.txt", "leads out"),
        ("file://linked/secret.txt", "leads out"),
        ("file://.", "does not exist"),
        ("file://pipe", "does not exist"),
        ("file://latin.txt", "no UTF-8"),
    ],
)
def test_a_file_reference_does_not_leave_the_source_directory(tmp_path, name, said):
    index = (
        f"namespace: a\nentries:\n  - name: x\n    kind: registry.entry\n    p:\n      - '{name}'"
    )
    app(tmp_path, index=index, **{"secret.txt": "s", "src/latin.txt": b"\xe9"})
    (tmp_path / "src" / "link.txt").symlink_to("../secret.txt")
    (tmp_path / "src" / "linked").symlink_to("..")
    os.mkfifo(tmp_path / "src" / "pipe")
    error = refused(tmp_path)
    assert said in error.what
    assert error.where == "src/_index.yaml:6:9 at entries[0].p[0]"


def test_an_index_file_that_is_a_link_out_of_the_app_is_refused(tmp_path):
    app(tmp_path, **{"out.yaml": "namespace: a\nentries: []"})
    (tmp_path / "src" / "in.yaml").symlink_to("../out.yaml")
    assert "link" in refused(tmp_path).what


def test_what_is_no_index_is_left_alone(tmp_path):
    files = {
        "src/other.yaml": "just: data",
        "src/list.yaml": "[1, 2]",
        "src/empty.yaml": "",
        "src/blank.yaml": "namespace: ' '\nentries: 5",
        "src/node_modules/p/_index.yaml": "namespace: evil\nentries: [{}]",
        "src/x.txt": "namespace: a",
        "src/none.json": "{}",
        "src/broken.yaml": "a: [",
    }
    found = load_app(app(tmp_path, **files))
    assert found.entries == ()
    (warning,) = found.warnings
    assert warning.startswith("src/broken.yaml:2:1 at a")


def test_an_index_may_be_json(tmp_path):
    item = '{"name": "x", "kind": "registry.entry", "y": "\\ud83d\\ude00"}'
    text = f'{{"namespace": "a", "entries": [{item}]}}'
    assert loaded(tmp_path, **{"src/x.json": text})["a:x"].data == {"y": "😀"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"namespace": "a", "namespace": "b"}', "occurs twice"),
        ('{"namespace": "a",\n "entries": [}', "no JSON"),
        (
            '{"namespace": "a", "entries": [{"name": "x", "kind": "registry.entry", "n": NaN}]}',
            "NaN",
        ),
        ('{"namespace":' + "[" * 100_000, "nested too deep"),
    ],
)
def test_a_json_index_that_is_wrong_stops_the_start(tmp_path, text, said):
    error = refused(tmp_path, **{"src/x.json": text})
    assert said in error.what
    assert error.where.startswith("src/x.json")


@pytest.mark.parametrize(
    ("index", "where", "said"),
    [
        ("namespace: a\nentries: [", "src/_index.yaml:3:1 at entries", "no YAML"),
        ("namespace: a", "src/_index.yaml:1:1", "neither `entries` nor"),
        ("namespace: [a]", "src/_index.yaml:1:12 at namespace", "without a colon"),
        ("namespace: a:b\nentries: []", "src/_index.yaml:1:12 at namespace", "without a colon"),
        ("namespace: a\nentries: {x: 1}", "src/_index.yaml:2:10 at entries", "must be a list"),
        ("namespace: a\nentries:\n  - 5", "src/_index.yaml:3:5 at entries[0]", "must be a map"),
        (
            "namespace: a\nentries:\n  - name: ' '\n    kind: registry.entry",
            "src/_index.yaml:3:11 at entries[0].name",
            "needs a text as `name`",
        ),
        (
            "namespace: a\nentries:\n  - name: x",
            "src/_index.yaml:3:5 at entries[0].kind",
            "needs a text as `kind`",
        ),
        (
            "namespace: a\nentries:\n  - name: x\n    kind: function.lau",
            "src/_index.yaml:4:11 at entries[0].kind",
            "unknown kind `function.lau`",
        ),
        (
            "namespace: a\nentries:\n  - name: x\n    kind: function.lua\n"
            "    source: x\n    method: m\n    modules: [time, tmie]",
            "src/_index.yaml:7:21 at entries[0].modules[1]",
            "unknown module `tmie`",
        ),
        (
            "namespace: a\nentries:\n  - name: x\n    kind: security.policy\n"
            "    policy: {actions: '*', resources: '*', effect: perhaps}",
            "src/_index.yaml:5:52 at entries[0].policy.effect",
            "invalid policy effect: perhaps",
        ),
        (
            "namespace: a\nentries:\n  - name: x\n    kind: security.policy\n"
            "    data: {policy: {actions: '*', resources: [], effect: deny}}",
            "src/_index.yaml:5:46 at entries[0].data.policy.resources",
            "list cannot be empty",
        ),
        (
            "namespace: a\nentries:\n  - name: x\n    kind: registry.entry\n    data: text",
            "src/_index.yaml:5:11 at entries[0].data",
            "must be a map",
        ),
        (
            "namespace: a\nentries:\n  - {name: x, kind: function.native, target: os.system}",
            "src/_index.yaml:3:21 at entries[0].kind",
            "cannot come from a file",
        ),
    ],
)
def test_a_file_with_a_namespace_that_does_not_load_stops_the_start(tmp_path, index, where, said):
    error = refused(tmp_path, index=index)
    assert said in error.what
    assert error.where.startswith(where)
    assert error.exit_code == 2


def test_a_broken_deny_policy_is_not_skipped_whatever_its_file_is_called(tmp_path):
    text = "namespace: a\nentries:\n  - name: x\n   kind: security.policy"
    error = refused(tmp_path, **{"src/rules.yaml": text})
    assert error.where.startswith("src/rules.yaml:4:4")


def test_the_same_id_in_two_files_is_refused_with_both_places(tmp_path):
    text = "namespace: a\nentries:\n  - {name: x, kind: registry.entry}"
    error = refused(tmp_path, EntryConflict, **{"src/1.yaml": text, "src/2.yaml": text})
    assert error.where == "src/2.yaml:3:5 at entries[0], and src/1.yaml:3:5 at entries[0]"


def test_dependencies_are_built_in_or_warned_about(tmp_path):
    index = "namespace: a\nentries:\n" + "".join(
        f"  - {{name: d{n}, kind: ns.dependency, component: {c}, version: '*'}}\n"
        for n, c in enumerate(["wippy/llm", "wippy/agent", "wippy/terminal", "acme/chat"])
    )
    (warning,) = load_app(app(tmp_path, index=index)).warnings
    assert warning.startswith("a:d3: module `acme/chat` is not available")
    refused(tmp_path, EntryConflict, index=index.replace("acme/chat", "wippy/llm"))


def test_project_files_become_typed_values(tmp_path):
    files = {
        ".wippy.yaml": (
            'version: "1.0"\nlogger: {mode: development, level: debug, encoding: json, x: 1}\n'
            "security: {strict_mode: true}\nregistry: {history_type: memory}\notel: {a: 1}\n"
        ),
        "wippy.yaml": "organization: acme\nmodule: demo\nversion: 1.2\nkeywords: [a, b]\n",
        "wippy.lock": "directories: {src: ./code}\n",
    }
    found = load_project(app(tmp_path, **files))
    assert found.logger == LoggerConfig(mode="development", level="debug", encoding="json")
    assert found.security.strict_mode
    assert found.history == HistoryConfig(history_type="memory")
    assert found.module == ModuleConfig(
        organization="acme", module="demo", version="1.2", keywords=("a", "b")
    )
    assert found.source_directory == "./code"
    assert found.ignored == ("otel",)
    assert found.version == "1.0"


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        (".wippy.yaml", "logger: {level: loud}", ".wippy.yaml:1:17 at logger.level"),
        (".wippy.yaml", "logger: 5", ".wippy.yaml:1:9 at logger"),
        (
            ".wippy.yaml",
            "security: {strict_mode: 'yes'}",
            ".wippy.yaml:1:25 at security.strict_mode",
        ),
        (".wippy.yaml", "- x", ".wippy.yaml:1:1"),
        ("wippy.yaml", "keywords: a", "wippy.yaml:1:11 at keywords"),
        ("wippy.lock", "directories: {src: ../x}", "wippy.lock:1:20 at directories.src"),
        ("wippy.lock", "directories: {src: /x}", "wippy.lock:1:20 at directories.src"),
    ],
)
def test_a_wrong_value_in_a_project_file_is_told_with_its_place(tmp_path, name, text, where):
    assert refused(tmp_path, **{name: text}).where == where


def test_an_app_without_sources_says_how_to_make_one(tmp_path):
    with pytest.raises(InputInvalid, match="has no directory `src`"):
        load_app(tmp_path)
    assert not is_app(tmp_path)
    assert is_app(app(tmp_path, index="namespace: a\nentries: []"))


@pytest.mark.parametrize(
    "change",
    [
        {"src/agent.lua": "other"},
        {"src/new.txt": ""},
        {".env": "KEY=2"},
        {".wippy.yaml": "version: '2'"},
        {"src/AGENT.lua": "code"},
    ],
)
def test_the_content_hash_changes_with_every_file_that_matters(tmp_path, change):
    app(tmp_path, index=SEED, **{"src/agent.lua": "code", ".env": "KEY=1"})
    before = content_hash(tmp_path)
    assert content_hash(tmp_path) == before
    app(tmp_path, **{"notes.txt": "not part of it"})
    assert content_hash(tmp_path) == before
    app(tmp_path, **change)
    assert content_hash(tmp_path) != before


def test_the_bundled_app_loads():
    found = load_app(Path(__file__).parents[2] / "src" / "micro_agi" / "bundled" / "app")
    ids = {e.id for e in found.entries}
    tools = {i for i in ids if i.startswith("app.tools:")}
    assert {re.sub(".*:", "", i) for i in tools} == {
        *("doc_search", "registry_list", "registry_read", "create_tool", "load_tool")
    }
    assert found.warnings == ()
