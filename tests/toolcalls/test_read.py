"""What counts as a call in a model's text, and what does not: spec/local-agent.md 7.1."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from micro_agi.messages import ToolSpec
from micro_agi.toolcalls.read import MOST_CALLS, NAMELESS, read_calls
from micro_agi.toolcalls.teach import written_call

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}, "n": {"type": "integer"}}}
TOOLS = {
    name: ToolSpec(id=f"local:{name}", name=name, description="", schema=SCHEMA)
    for name in ("read_file", "shell")
}


def read(text):
    """The calls as (name, arguments), or (name, problem) where there is one; and the text left."""
    reading = read_calls(text, TOOLS)
    calls = [(c.name, c.problem or json.loads(c.arguments)) for c in reading.calls]
    return calls, reading.text


def tag(body, name="shell"):
    return f'<tool name="{name}">{body}</tool>'


READ = {
    "in a sentence": ("Hi " + tag('{"n": 1}') + " bye", {"n": 1}, "Hi\n\nbye"),
    "any case": ("<TOOL NAME='shell'>{}</Tool >", {}, ""),
    "other attributes": ('<tool id=3 name = "shell" x="y" >{"n": 1}</tool>', {"n": 1}, ""),
    "no quotes": ("<tool name=shell>{}</tool>", {}, ""),
    "no body": (tag(""), {}, ""),
    "blank body": (tag(" \n "), {}, ""),
    "closed at once": ('<tool name="shell"/>', {}, ""),
    "the closing tag in a string": (tag('{"path": "</tool>"}'), {"path": "</tool>"}, ""),
    "a tag in a string": (tag(json.dumps({"path": tag("{}")})), {"path": tag("{}")}, ""),
    "backticks in a string": (tag('{"path": "```\\n`x`"}'), {"path": "```\n`x`"}, ""),
    "a fence around the body": (tag('\n```json\n{"n": 1}\n```\n'), {"n": 1}, ""),
    "a fence around the tag": ("a\n```xml\n" + tag("{}") + "\n```\nb", {}, "a\n\nb"),
    "a fence line in a string": (
        "```\n" + tag('{"path": "\n```\n"}') + "\n```",
        {"path": "\n```\n"},
        "",
    ),
    "an unclosed fence": ("```\n" + tag("{}"), {}, ""),
    "raw newlines": (tag('{"path": "a\nb\tc"}'), {"path": "a\nb\tc"}, ""),
    "a trailing comma": (tag('{"path": "a,}", "n": 1,}'), {"path": "a,}", "n": 1}, ""),
    "Python": (tag("{'path': 'say \"hi\"', 'n': None}"), {"path": 'say "hi"', "n": None}, ""),
    "Python's and JSON's constants": (
        tag("{'n': true, 'path': False}"),
        {"n": True, "path": False},
        "",
    ),
    "Python's escapes": (tag(r"{'path': 'it\'s 😀'}"), {"path": "it's \U0001f600"}, ""),
    "an escaped apostrophe": (tag(r'{"path": "it\'s a\/b\\"}'), {"path": "it's a/b\\"}, ""),
    "an apostrophe and a comma": (tag(r'{"path": "\'",}'), {"path": "'"}, ""),
    "the words of Python in a string": (tag('{"path": "True None",}'), {"path": "True None"}, ""),
    "a lone backtick before": ("it`s\n\n" + tag("{}") + "\n\nit`s", {}, "it`s\n\nit`s"),
    "Hermes": ('<tool_call>\n{"name": "shell", "arguments": {"n": 1}}\n</tool_call>', {"n": 1}, ""),
    "Hermes, arguments as text": (
        '<tool_call>{"name": "shell", "arguments": "{\\"n\\": 1}"}</tool_call>',
        {"n": 1},
        "",
    ),
    "Hermes, no arguments": ('<tool_call>{"name": "shell"}</tool_call>', {}, ""),
    "Python's notation": (
        "I will.\nshell('a', n=2)\nDone?",
        {"path": "a", "n": 2},
        "I will.\n\nDone?",
    ),
    "Python's notation in a fence": ("```python\nshell(\n  n=-2,\n)\n```", {"n": -2}, ""),
    "Python's notation, no arguments": ("shell()", {}, ""),
}


@pytest.mark.parametrize(("text", "arguments", "left"), READ.values(), ids=READ.keys())
def test_a_call_is_read(text, arguments, left):
    assert read(text) == ([("shell", arguments)], left)


TEXT = {
    "inline code": f"Write `{tag('{}')}` to run it.",
    "inline code with more ticks": f"Write `` ` {tag('{}')} `` to run it.",
    "a fence with something else": f"```\nfirst\n{tag('{}')}\n```",
    "a fence with something after": f"~~~\n{tag('{}')}\nlast\n~~~",
    "a fence of four": f"````\n```\n{tag('{}')}\n```\n````",
    "a tag without a name": "<tool>{}</tool>",
    "another tag": "<toolbox name='shell'>{}</toolbox>",
    "a sentence": "Don't call shell('rm -rf x').",
    "the name alone": "shell to see what happens",
    "a longer name": "powershell('x')",
    "a method": "os.shell('x')",
    "an unknown function": "print('x')",
    "no literal": "shell(path)",
    "an f-string": "shell(f'{1}')",
    "an unpacking": "shell(**{'n': 1})",
    "an indented block": "    shell('x')",
    "a fence with other code": "```python\nx = 1\nshell('x')\n```",
    "a fence with a method after": "```python\nshell('x').strip()\n```",
    "no Python": "shell('x'",
}


@pytest.mark.parametrize("text", TEXT.values(), ids=TEXT.keys())
def test_what_only_looks_like_a_call_stays_text(text):
    assert read(text) == ([], text)


PROBLEMS = {
    "unclosed": ('a <tool name="shell">{"n": 1}', "shell", "never closed"),
    "unclosed in its arguments": ('<tool name="shell">{"n": ', "shell", "never closed"),
    "no object": (tag("[1]"), "shell", "no JSON object"),
    "no JSON": (tag("path=a"), "shell", "not JSON"),
    "a broken string": (tag('{"path": "a"b"}'), "shell", "Expecting ',' delimiter"),
    "something after": (tag('{"n": 1} {"n": 2}'), "shell", "something else"),
    "NaN": (tag('{"n": NaN}'), "shell", "NaN"),
    "a set": (tag("{'path'}"), "shell", "not JSON"),
    "keys that are no text": (tag("{1: 2}"), "shell", "not JSON"),
    "code": (tag("{'n': __import__('os')}"), "shell", "not JSON"),
    "Hermes without a name": ("<tool_call>{}</tool_call>", NAMELESS, "no `name`"),
    "Hermes, arguments a list": (
        '<tool_call>{"name": "shell", "arguments": [1]}</tool_call>',
        "shell",
        "not JSON",
    ),
    "too many arguments": ("shell('a', 1, 2)", "shell", "3 arguments"),
    "an argument twice": ("shell('a', path='b')", "shell", "given twice"),
}


@pytest.mark.parametrize(("text", "name", "problem"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_a_call_that_cannot_be_used_is_told_and_not_dropped(text, name, problem):
    [(called, said)], left = read(text)
    assert called == name
    assert problem in said
    assert "tool" not in left


def test_one_bad_call_does_not_take_the_next_one_with_it():
    bad, good = tag('{"path": "a"b"}'), tag('{"n": 1}', "read_file")
    [(_, problem), following], text = read(f"{bad} and {good}")
    assert "Expecting" in problem
    assert following == ("read_file", {"n": 1})
    assert text == "and"


def test_an_unknown_name_is_a_call_too_so_that_the_model_hears_of_it():
    assert read(tag("{}", "sehll")) == ([("sehll", {})], "")


def test_a_tag_wins_over_pythons_notation():
    calls, text = read("shell('a')\n" + tag('{"n": 1}'))
    assert (calls, text) == ([("shell", {"n": 1})], "shell('a')")


def test_right_json_stays_as_the_model_wrote_it():
    written = '{ "n":1.0 ,"path" : "\\u00e9"}'
    assert read_calls(tag(written), TOOLS).calls[0].arguments == written


def test_the_calls_of_a_reply_have_ids_of_their_own_and_an_end():
    calls = read_calls(tag("{}") * (MOST_CALLS + 9), TOOLS).calls
    assert len({c.id for c in calls}) == len(calls) == MOST_CALLS + 1
    assert str(MOST_CALLS) in calls[-1].problem


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(), json_values, max_size=4)


@given(objects, objects, st.booleans())
def test_any_arguments_survive_the_notation(first, second, ascii_only):
    texts = [json.dumps(value, ensure_ascii=ascii_only) for value in (first, second)]
    reply = "Both.\n" + "\n".join(written_call("shell", text) for text in texts)
    calls, left = read(reply)
    assert calls == [("shell", first), ("shell", second)]
    assert left == "Both."


@given(objects)
@example({"a": "\\' \" , } None </tool>"})
def test_a_repair_never_alters_a_string(value):
    written = json.dumps(value, ensure_ascii=False)
    assert read(tag(written[:-1] + ("," if value else "") + "}"))[0] == [("shell", value)]
    python = repr(value)
    if "\\" not in python:
        assert read(tag(python))[0] == [("shell", value)]


pieces = st.sampled_from(
    [
        *('<tool name="shell">', "</tool>", "<tool_call>", "</tool_call>", "<tool", "{", "}", '"'),
        *(
            "'",
            "`",
            "```",
            "\n",
            "\n\n",
            "\\",
            ",",
            "a",
            ":",
            '{"n": 1}',
            "shell(",
            ")",
            "~~~",
            " ",
        ),
    ]
)


@given(st.lists(pieces, max_size=30).map("".join))
def test_nothing_that_a_model_writes_breaks_the_reader(text):
    reading = read_calls(text, TOOLS)
    assert list(reading.places) == sorted(reading.places)
    assert all(c.problem or isinstance(json.loads(c.arguments), dict) for c in reading.calls)
    if not reading.calls:
        assert reading.text == text
