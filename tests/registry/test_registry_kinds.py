"""What each kind of entry must have."""

import pytest

from micro_agi.errors import EntryInvalid
from micro_agi.registry.entry import Entry
from micro_agi.registry.kinds import KINDS, MAX_DEPTH, validate

RULE = {"actions": "*", "resources": "*", "effect": "allow"}
LUA = {"source": "return {}", "method": "main"}
EXAMPLES = {
    "ns.definition": {"readme": "text"},
    "ns.dependency": {"component": "wippy/llm", "version": "*", "parameters": []},
    "ns.requirement": {"targets": [{"entry": "a:b", "path": ".x"}], "default": 1},
    "env.storage.os": {},
    "env.storage.memory": {},
    "env.storage.file": {"path": "x"},
    "env.storage.router": {"storages": ["a:b"]},
    "env.variable": {"storage": "a:os", "variable": "KEY", "readonly": True},
    "store.sql": {},
    "process.host": {"host": {"workers": 4}, "lifecycle": {"auto_start": True}},
    "terminal.host": {"hide_logs": True},
    "process.service": {"process": "a:p", "host": "a:h"},
    "security.policy": {"policy": RULE, "groups": ["g"]},
    "security.policy.expr": {"policy": {**RULE, "expression": "true"}},
    "security.token_store": {"store": "a:s"},
    "registry.entry": {"anything": [1, None, {"x": 1.5}]},
    "function.lua": {**LUA, "modules": ["time"], "imports": {"x": "y"}, "pool": {"type": "lazy"}},
    "function.python": LUA,
    "function.native": {"target": "x"},
    "library.lua": {"source": "return {}"},
    "process.lua": LUA,
    "contract.definition": {"methods": [{"name": "x"}]},
    "contract.binding": {"contracts": [{"contract": "a:c", "methods": {"x": "a:f"}}]},
}


def entry(kind, data, meta=None, entry_id="a:x"):
    return Entry(id=entry_id, kind=kind, data=data, meta=meta or {})


def test_every_kind_has_an_example_here_and_a_line_about_it():
    assert set(EXAMPLES) == set(KINDS)
    assert all(k.summary and all(f.summary for f in k.fields) for k in KINDS.values())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_good_entry_of_each_kind_passes_and_loses_each_required_field_badly(kind):
    data = EXAMPLES[kind]
    validate(entry(kind, data), source="program")
    validate(entry(kind, {**data, "unknown_key": 1}), source="program")
    for field in KINDS[kind].fields:
        if field.required:
            for missing in (None, ""):
                with pytest.raises(EntryInvalid, match=f"{field.name} is required"):
                    validate(entry(kind, {**data, field.name: missing}), source="program")
        if field.type != "any":
            with pytest.raises(EntryInvalid, match=f"{field.name} must be"):
                validate(entry(kind, {**data, field.name: 3.5}), source="program")


@pytest.mark.parametrize("source", ["file", "runtime"])
def test_only_the_program_makes_native_functions(source):
    with pytest.raises(EntryInvalid, match="cannot come from"):
        validate(entry("function.native", {"target": "x"}), source=source)


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(EntryInvalid) as refused:
        validate(entry("function.Lua", LUA), source="file")
    assert refused.value.where == "a:x at kind"
    assert "function.lua" in refused.value.fix


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("function.lua", {"modules": [""]}, "module cannot be empty"),
        ("function.lua", {"modules": ["a:b"]}, "cannot have a namespace"),
        ("function.lua", {"modules": ["os"]}, "unknown module `os`"),
        ("function.lua", {"modules": "time"}, "must be a list of texts"),
        ("function.lua", {"imports": {"": "x"}}, "alias cannot be empty"),
        ("function.lua", {"imports": {"x": ""}}, "cannot be empty"),
        ("function.lua", {"imports": {"x": "a:"}}, "cannot be empty"),
        ("function.lua", {"imports": {"x": {"id": "a:b"}}}, "must be the id"),
        ("function.lua", {"pool": {"type": "deep"}}, "unknown pool type"),
        ("function.lua", {"pool": {"workers": 2}}, "pool.size must be greater than 0"),
        ("function.lua", {"pool": {"size": -1}}, "whole number"),
        ("process.host", {"host": {"workers": -1}}, "whole number"),
        ("process.host", {"host": {"queue_size": True}}, "whole number"),
        ("ns.dependency", {"component": "llm"}, "no component"),
        ("ns.dependency", {"parameters": [{"name": "x"}]}, "a name and a value"),
        ("security.policy", {"policy": {**RULE, "effect": "maybe"}}, "invalid policy effect"),
        ("security.policy", {"groups": "agent_security"}, "must be a list of texts"),
        ("security.policy.expr", {"policy": RULE}, "expression is required"),
        ("contract.binding", {"contracts": [{}]}, "id of its contract"),
        ("contract.binding", {"contracts": [{"contract": "a", "methods": {"x": 1}}]}, "map names"),
    ],
)
def test_what_a_kind_does_not_take_is_told(kind, change, said):
    with pytest.raises(EntryInvalid, match=said):
        validate(entry(kind, {**EXAMPLES[kind], **change}), source="file")


@pytest.mark.parametrize("key", ["modules", "tests", "hosts"])
def test_an_empty_lua_table_passes_for_an_empty_list(key):
    validate(entry("function.lua", {**LUA, key: {}}), source="runtime")


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({"input_schema": "{"}, "no JSON"),
        ({"input_schema": "[1]"}, "no JSON Schema object"),
        ({"input_schema": 5}, "no JSON Schema object"),
        ({"llm_alias": 5}, "llm_alias must be a text"),
    ],
)
def test_a_tool_must_be_readable_by_the_agent_layer(meta, said):
    good = {"type": "tool", "input_schema": '{"type": "object"}', "llm_alias": "x"}
    validate(entry("function.lua", LUA, good), source="runtime")
    with pytest.raises(EntryInvalid, match=said):
        validate(entry("function.lua", LUA, {**good, **meta}), source="runtime")


@pytest.mark.parametrize("command", ["chat", {}, {"name": 5}, {"name": ""}, {"name": "-x"}])
def test_a_command_needs_a_name(command):
    with pytest.raises(EntryInvalid, match="command"):
        validate(entry("process.lua", LUA, {"command": command}), source="file")


def nested(depth):
    value = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"x": float("nan")}, "no JSON number"),
        ({"x": [float("inf")]}, "no JSON number"),
        ({"x": {5: 1}}, "is no text"),
        ({"x": b"raw"}, "a bytes is no JSON"),
        ({"x": (1, 2)}, "a tuple is no JSON"),
        ({"x": "\ud800"}, "no valid Unicode"),
        ({"x": 1 << 64}, "64 bits"),
        ({"x": nested(MAX_DEPTH)}, "nested deeper"),
        ({"x": nested(50_000)}, "nested deeper"),
        ({"x": "a" * (5 << 20)}, "characters"),
    ],
)
def test_what_cannot_be_stored_is_refused(data, said):
    with pytest.raises(EntryInvalid, match=said):
        validate(entry("registry.entry", data), source="file")
    with pytest.raises(EntryInvalid, match=said):
        validate(entry("registry.entry", {}, meta=data), source="file")


@pytest.mark.parametrize(
    "entry_id", ["", "x", ":x", "a:", "a:\n", "a:\x7f", "a\u202e:x", "a:" + "x" * 600]
)
def test_an_id_is_readable_and_complete(entry_id):
    with pytest.raises(EntryInvalid):
        validate(entry("registry.entry", {}, entry_id=entry_id), source="file")
