"""From references to tools: names, schemas, and warnings instead of failures."""

import asyncio

import pytest

from micro_agi.errors import EntryInvalid
from micro_agi.registry.entry import Entry
from micro_agi.testing.registry import memory_registry
from micro_agi.tools.resolve import input_schema, resolve, sanitise, tool_spec


def tool(entry_id, kind="function.lua", **meta):
    data = {"source": "return {}", "method": "handler"} if kind == "function.lua" else {}
    return Entry(id=entry_id, kind=kind, meta={"type": "tool", **meta}, data=data)


def resolved(references, *entries):
    async def scenario():
        registry = await memory_registry(list(entries))
        found = resolve(registry.snapshot(), references)
        return [(t.name, t.id) for t in found.tools], [w.text for w in found.warnings], found

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("HTTPGet", "h_t_t_p_get"),
        ("my.tool", "my_tool"),
        ("Tool!", "tool_"),
        ("Foo Bar", "foo_bar"),
        ("9lives", "9lives"),
        ("_x", "x"),
    ],
)
def test_names_are_sanitised_as_the_documents_runtime_does(name, plain):
    assert sanitise(name) == plain


@pytest.mark.requirement("003/tools/wildcard")
def test_a_wildcard_is_one_namespace_exactly():
    names, warnings, _ = resolved(["a:*"], tool("a:x"), tool("a.b:y"), tool("b:z"))
    assert names == [("x", "a:x")]
    assert warnings == []


def test_what_does_not_resolve_warns_with_the_nearest_and_the_rest_stays():
    names, warnings, found = resolved(["a:clok", "nothing:*", 7, "a:clock"], tool("a:clock"))
    assert names == [("clock", "a:clock")]
    assert len(warnings) == 3
    assert "a:clock" in found.warnings[0].fix


def test_of_two_tools_with_one_name_the_first_stays():
    names, warnings, _ = resolved(
        ["a:x", "b:x"], tool("a:x", llm_alias="clock"), tool("b:x", llm_alias="clock2")
    )
    assert names == [("clock", "a:x"), ("clock2", "b:x")]
    names, warnings, _ = resolved([{"id": "a:x"}, {"id": "b:x"}], tool("a:x"), tool("b:x"))
    assert names == [("x", "a:x")]
    assert warnings == ["two tools are called `x`; `a:x` stays"]


def test_a_reference_may_rename_and_describe_a_tool():
    _, _, found = resolved([{"id": "a:x", "alias": "now", "description": "Now"}], tool("a:x"))
    (spec,) = found.tools
    assert (spec.name, spec.description) == ("now", "Now")


@pytest.mark.requirement("003/tools/metadata")
@pytest.mark.parametrize(
    ("raw", "schema"),
    [
        (None, {"type": "object", "properties": {}}),
        ('{"properties": {"a": {"type": "string"}}}', {"a": {"type": "string"}}),
        ({"type": "object", "properties": {}}, {}),
        ({}, {}),
    ],
)
def test_a_schema_is_always_an_object_with_properties(raw, schema):
    found = input_schema(tool("a:x", input_schema=raw))
    assert found["type"] == "object"
    assert found["properties"] == schema.get("properties", schema)


@pytest.mark.parametrize("raw", ["{", "[]", 7])
def test_a_schema_that_is_none_is_an_error_with_its_place(raw):
    with pytest.raises(EntryInvalid) as refused:
        input_schema(tool("a:x", input_schema=raw))
    assert refused.value.where == "a:x at meta.input_schema"


def test_a_name_that_no_model_can_call_is_refused():
    with pytest.raises(EntryInvalid, match="a model cannot call"):
        tool_spec(tool("a:x", llm_alias="no spaces please"))
