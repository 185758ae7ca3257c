"""What a model is taught is what the reader reads."""

import json
import re

import jsonschema_rs
import pytest

from micro_agi.messages import Image, Message, Text, ToolCall, ToolSpec, message
from micro_agi.toolcalls.read import read_calls
from micro_agi.toolcalls.teach import spelled_out, tools_prompt

SCHEMA = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "depth": {"type": "integer"},
        "order": {"enum": ["name", "size"]},
        "names": {"type": "array"},
        "exact": {"type": "boolean"},
        "also": {"type": "object"},
        "share": {"type": "number"},
    },
    "required": ["path", "depth", "order", "names", "exact", "also", "share"],
}


def spec(name="find", schema=SCHEMA):
    return ToolSpec(id=f"l:{name}", name=name, description=f"What {name} does.", schema=schema)


def test_the_taught_example_is_a_call_with_arguments_that_fit():
    [call] = read_calls(tools_prompt([spec()]), {"find": spec()}).calls
    assert (call.name, call.problem) == ("find", "")
    assert jsonschema_rs.is_valid(SCHEMA, json.loads(call.arguments))


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"properties": {"a": True}}])
def test_a_tool_without_required_arguments_has_an_example_too(schema):
    [call] = read_calls(tools_prompt([spec(schema=schema)]), {}).calls
    assert not call.problem


def test_every_tool_is_described_with_its_schema():
    taught = tools_prompt([spec("find"), spec("count", {})])
    assert "## find\n\nWhat find does." in taught
    assert json.loads(re.search(r"## find.*?Schema\): (.*)", taught, re.DOTALL)[1].split("\n")[0])
    assert "## count" in taught


@pytest.mark.parametrize(
    ("choice", "last"),
    [("any", "must call a tool."), ("required", "must call a tool."), ("find", "the tool find.")],
)
def test_a_forced_call_is_said_in_words(choice, last):
    assert tools_prompt([spec()], choice).endswith(last)


def test_nothing_is_taught_without_tools_or_when_none_may_be_called():
    assert tools_prompt([]) == tools_prompt([spec()], "none") == ""


def test_a_conversation_is_spelled_out_with_alternating_roles():
    calls = (
        ToolCall(id="1", name="find", arguments='{"path":"a"}'),
        ToolCall(id="2", name="count", arguments=""),
    )
    results = [
        message("tool", "one", tool_call_id="1", name="find"),
        Message(role="tool", parts=(Text("two"), Image(url="u")), tool_call_id="2", name="count"),
    ]
    asked, said, answered, after = spelled_out(
        [
            message("user", "go"),
            message("assistant", "I look.", tool_calls=calls),
            *results,
            message("assistant", "done"),
        ]
    )
    assert (asked.text, after.text) == ("go", "done")
    assert [m.role for m in (asked, said, answered, after)] == ["user", "assistant"] * 2
    read = read_calls(said.text, {}).calls
    assert [(c.name, c.arguments) for c in read] == [("find", '{"path":"a"}'), ("count", "{}")]
    assert answered.text == (
        '<tool_result name="find">\none\n</tool_result>\n\n'
        '<tool_result name="count">\ntwo\n</tool_result>'
    )
    assert answered.parts[-1] == Image(url="u")
