"""What Lua code finds around it: callees, results, errors, standard names, libraries."""

import pytest

from micro_agi.errors import EntryInvalid, ToolFailed
from micro_agi.sandbox.failure import facts_of
from micro_agi.sandbox.modules import MODULES
from micro_agi.sandbox.unit import Unit

CALLEES = [
    "return { handler = function(x) return x + 1 end }",
    "return function(x) return x + 1 end",
    "local M = setmetatable({}, {__index = {handler = function(x) return x + 1 end}}) return M",
]


@pytest.mark.parametrize("source", CALLEES)
def test_a_chunk_returns_its_function_or_a_table_with_the_method(lua, source):
    assert lua.run(source, 41) == 42


@pytest.mark.parametrize("source", ["function handler() end", "return { other = 1 }", "return 5"])
def test_anything_else_has_no_method(lua, source):
    with pytest.raises(ToolFailed) as failed:
        lua.run(source)
    assert facts_of(failed.value).kind == "NotFound"
    assert failed.value.what == 'method "handler" not found in module'


RESULTS = [
    ("return 1, 2", 1),
    ("return", None),
    ("return nil", None),
    ("return 'v', false", "v"),
    ("return 'v', {x = 1}", "v"),
    ("return nil, {x = 1}", None),
    ("return {}", {}),
    ("return json.decode('[]')", []),
    ("return {1, 2, nil, 4}", [1, 2, None, 4]),
    ("return {1, 2, x = 3}", [1, 2]),
    ("return {[1.5] = 'a', [true] = 'b'}", {"1.5": "a", "true": "b"}),
    ("return {0/0, math.huge, 2.0, math.mininteger}", [None, None, 2.0, -(2**63)]),
    ("return 'bad\\xff'", "bad\ufffd"),
    ("return {print, coroutine.create(print)}", ["function", "thread"]),
    ("return errors.new('e')", "e"),
]


@pytest.mark.parametrize(("body", "expected"), RESULTS)
def test_results_reach_the_host_as_json(lua, body, expected):
    assert lua.run(f"return function() {body} end", modules=("json",)) == expected


def test_arguments_keep_their_places_and_types(lua):
    source = """return function(...)
      local a, b, c = ...
      return { select("#", ...), b == nil, math.type(c[1]), math.type(c[2]), c[3], #c[4] }
    end"""
    found = lua.run(source, 1, None, [1, 1.5, "é", []], None)
    assert found == [4, True, "integer", "float", "é", 0]


FAILURES = [
    ("return nil, 'text'", "Internal", "text", "test:unit"),
    ("return nil, errors.new{message='m', kind=errors.NOT_FOUND}", "NotFound", "m", "test:unit:1"),
    ("return nil, errors.new('plain')", "Internal", "plain", "test:unit:1"),
    ("error('boom')", "Internal", "test:unit:1: boom", "test:unit:1"),
    ("error('boom', 0)", "Internal", "boom", "test:unit"),
    ("error({})", "Internal", "the error value is a table", "test:unit"),
    ("local x = nil; return x.y", "Internal", "test:unit:1: attempt to index", "test:unit:1"),
    (
        "error(errors.new{message='c', kind=errors.CONFLICT, retryable=true})",
        "Conflict",
        "c",
        "test:unit:1",
    ),
]


@pytest.mark.parametrize(("body", "kind", "message", "where"), FAILURES)
def test_failures_keep_kind_message_and_place(lua, body, kind, message, where):
    with pytest.raises(ToolFailed) as failed:
        lua.run(f"return function() {body} end")
    facts = facts_of(failed.value)
    assert facts.kind == kind
    assert facts.message.startswith(message)
    assert failed.value.where == where


ERROR_OBJECTS = [
    ("type(errors.new('x'))", "userdata"),
    ("errors.new('x'):kind() == errors.UNKNOWN", True),
    ("errors.new('x'):retryable()", None),
    ("errors.new{message='x', details={}}:details() == nil", True),
    ("errors.new{message='x', details={a=1}}:details().a", 1),
    ("tostring(errors.wrap(errors.new{message='in', kind='Invalid'}, 'ctx'))", "ctx: in"),
    ("errors.wrap(errors.new{message='in', kind='Invalid'}, 'ctx'):message()", "in"),
    ("errors.wrap('text', 'ctx'):kind()", ""),
    ("errors.is(errors.wrap(errors.new{message='in', kind='Invalid'}, 'c'), errors.INVALID)", True),
    ("errors.is('x', '')", False),
    ("'a ' .. errors.new('x') .. ' b'", "a x b"),
    ("select(2, pcall(error, errors.new('same'))):message()", "same"),
    ("errors.new('x'):stack():find('test:unit:1', 1, true) ~= nil", True),
    ("errors.call_stack(errors.new('x')).frames[1].line", 1),
    ("errors.call_stack('x') == nil", True),
    ("pcall(function() errors.new('x').kind = 1 end)", False),
    ("getmetatable(errors.new('x'))", False),
    ("next(errors.new('x')) == nil", True),
    ("errors.RATE_LIMITED", "RateLimited"),
]


@pytest.mark.parametrize(("expression", "expected"), ERROR_OBJECTS)
def test_error_objects_behave_as_the_documents_say(lua, expression, expected):
    found = lua.value(f"({expression})")
    assert (found or {}) == ([expected] if expected is not None else {})


NAMES = [
    *(
        [
            "assert",
            "error",
            "pcall",
            "xpcall",
            "type",
            "tostring",
            "tonumber",
            "pairs",
            "ipairs",
            "next",
            "select",
            "unpack",
            "print",
        ]
    ),
    *(
        [
            "rawget",
            "rawset",
            "rawequal",
            "getmetatable",
            "setmetatable",
            "require",
            "_G",
            "_VERSION",
        ]
    ),
    *(
        [
            "string.find",
            "string.format",
            "table.insert",
            "table.sort",
            "math.pow",
            "math.log10",
            "math.atan2",
        ]
    ),
    *(
        [
            "math.sinh",
            "math.cosh",
            "math.tanh",
            "math.ult",
            "coroutine.wrap",
            "os.platform",
            "package.path",
        ]
    ),
]
ABSENT = [
    *(
        [
            "load",
            "loadstring",
            "loadfile",
            "dofile",
            "collectgarbage",
            "rawlen",
            "setfenv",
            "getfenv",
            "io",
            "debug",
            "utf8",
        ]
    ),
    *(["python", "string.dump", "os.execute", "os.exit", "os.remove", "os.getenv", "os.setlocale"]),
    *(["package.loaded", "package.preload", "package.searchers", "http_client", "json", "arg"]),
]


def test_the_standard_names_are_exactly_the_listed_ones(lua):
    for name in NAMES:
        assert lua.run(f"return function() return {name} ~= nil end"), name
    for name in ABSENT:
        assert lua.run(f"return function() return {name} == nil end"), name


def test_every_module_has_exactly_the_names_in_the_table(lua):
    for name, module in MODULES.items():
        if module.available:
            source = f"""return function()
              local names = {{}}
              for key in pairs({name}) do names[#names + 1] = key end
              return names
            end"""
            assert set(lua.run(source, modules=(name,))) == set(module.functions), name


TEXTS = [
    ("tostring(2.0)", "2"),
    ("tostring(2.5)", "2.5"),
    ("tostring(2^53)", "9.007199254741e+15"),
    ("tostring(nil)", "nil"),
    ("'n' .. 2", "n2"),
    ("math.pow(2, 3) == 8", True),
    ("math.log10(1000) > 2.999", True),
    ("math.tanh(100)", 1.0),
    ("('x'):rep(3)", "xxx"),
]


@pytest.mark.parametrize(("expression", "expected"), TEXTS)
def test_small_differences_from_stock_lua(lua, expression, expected):
    assert lua.value(expression) == [expected]


def test_require_gives_grants_only_and_they_are_globals_too(lua):
    source = """return function()
      local ok, message = pcall(require, "http_client")
      return { require("json") == json, ok, message }
    end"""
    same, ok, message = lua.run(source, modules=("json",))
    assert same
    assert not ok
    assert "module 'http_client' not found" in message


def test_a_library_has_its_own_environment_and_runs_once_per_call(lua):
    library = Unit(
        id="test:lib",
        source="count = (count or 0) + 1 leaked = true return {count=count, json=json ~= nil}",
        modules=("json",),
    )
    middle = Unit(id="test:mid", source="return require('lib')", imports=(("lib", library),))
    source = """return function()
      local a, b = require("lib"), require("mid")
      return { a == b, a.count, a.json, json == nil, leaked == nil, lib == a }
    end"""
    imports = (("lib", library), ("mid", middle))
    for _ in range(2):
        assert lua.run(source, imports=imports) == [True, 1, True, True, True, True]


def test_nothing_lasts_from_one_call_to_the_next(lua):
    source = """local calls = 0
      return function()
        calls = calls + 1
        seen = (seen or 0) + 1
        _G.other = (_G.other or 0) + 1
        return { calls, seen, other }
      end"""
    assert lua.run(source) == lua.run(source) == [1, 1, 1]


def test_random_numbers_cannot_be_set_for_the_next_call(lua):
    seed = "return function() math.randomseed(1) return math.random(1 << 40) end"
    draw = "return function() return math.random(1 << 40) end"
    lua.run(seed)
    first = lua.run(draw)
    lua.run(seed)
    assert lua.run(draw) != first


INVALID = [
    ("local x = = 1", "test:unit:1", "unexpected symbol"),
    ("\n\nreturn {", "test:unit:3", "expected"),
    ("function handler() end", "test:unit", "not found in module"),
    ("error('at load')", "test:unit:1", "at load"),
    ("\x1bLua", "test:unit", "binary chunk"),
]


@pytest.mark.parametrize(("source", "where", "part"), INVALID)
def test_a_check_finds_what_is_wrong_without_calling(lua, source, where, part):
    unit = Unit(id="test:unit", source=source, method="handler")
    with pytest.raises(EntryInvalid) as invalid:
        lua.wait(lua.pool.check(unit))
    assert invalid.value.where == where
    assert part in invalid.value.what


def test_a_check_calls_nothing(lua):
    unit = Unit(
        id="test:unit",
        source="return { handler = function() error('called') end }",
        method="handler",
    )
    lua.wait(lua.pool.check(unit))


def test_names_that_come_later_say_so(lua):
    with pytest.raises(ToolFailed, match="is not available yet"):
        lua.run("return function() return process.spawn('app:x') end")
