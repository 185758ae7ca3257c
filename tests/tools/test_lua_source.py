"""What an author is told about a source before it runs, and what never raises a false alarm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micro_agi.tools.lua_source import findings, tokens


def found(source, *modules, **imports):
    return [f"{f.line}: {f.what}" for f in findings(source, modules=modules, imports=imports)]


@pytest.mark.parametrize(
    "source",
    [
        "-- os.execute in a comment",
        "--[[ debug.getinfo\n os.remove ]] return 1",
        'return "os.execute"',
        "return [[io.open]]",
        "local t = { debug = 1 } return t.debug",
        "local x = {} x.os = {} return x.os.execute",
        "local debug = 3 return debug",
        "local time = 5 return time",
        "local function package() end return package",
        "return { loadfile = 1 }",
    ],
)
def test_innocent_text_is_left_alone(source):
    assert found(source) == []


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("os.execute('x')", "1: `os.execute` does not exist in tools"),
        ("\n\nio.popen('x')", "3: `io.popen` does not exist in tools"),
        ("return debug.getinfo(1)", "1: `debug.getinfo` does not exist in tools"),
        ("local f = loadfile", "1: `loadfile` does not exist in tools"),
        ("rawset(t, 1, 2)", "1: `rawset` does not exist in tools"),
        ("local x = os . remove", "1: `os.remove` does not exist in tools"),
    ],
)
def test_blocked_names_are_found_as_identifiers(source, what):
    assert found(source) == [what]


def test_a_module_that_is_not_granted_is_named_with_the_fix():
    (problem,) = findings("return json.encode({})", modules=(), imports={})
    assert problem.what == "`json.encode` needs module `json`, which is not granted"
    assert problem.fix == 'add "json" to `modules`'


def test_a_misspelt_function_names_the_nearest():
    (problem,) = findings("return time.nowz()", modules=("time",), imports={})
    assert (problem.line, problem.what) == (1, "`time.nowz` does not exist")
    assert "time.now" in problem.fix


def test_a_misspelt_function_of_a_table_inside_a_module_names_the_nearest():
    (problem,) = findings("return crypto.random.byte(4)", modules=("crypto",), imports={})
    assert problem.what == "`crypto.random.byte` does not exist"
    assert "crypto.random.bytes" in problem.fix
    assert findings("return crypto.jwt.verify(t, k)", modules=("crypto",), imports={}) == []


def test_a_module_under_another_name_is_followed():
    source = 'local clock = require("time")\nreturn clock.nowz()'
    assert found(source, "time") == ["2: `time.nowz` does not exist"]


def test_a_module_that_is_required_without_grant_is_found():
    assert found('local j = require("json")') == ["1: module `json` is not granted"]
    assert found("local r = require 'registry'") == ["1: there is no module `registry` for tools"]


def test_an_import_may_be_required():
    assert found('local h = require("helper")', helper="app.generated:helper") == []


@given(st.text(max_size=500))
def test_no_text_breaks_the_reader(source):
    tokens(source)
    findings(source, modules=("time",), imports={})


@given(st.text(alphabet="abc_. =(){}'\"-[]\n:;,", max_size=200))
def test_lines_are_counted_right(source):
    for token in tokens(source):
        assert token.text.partition("\n")[0] in source.splitlines()[token.line - 1]
