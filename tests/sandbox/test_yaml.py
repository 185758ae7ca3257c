"""The `yaml` module, to the letter of spec/runtime.md 6.3; it decodes like yaml.v3."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro_agi.errors import ToolFailed
from micro_agi.registry.yaml import load

DECODE = """return function(text)
  local value, err = yaml.decode(text)
  if err then return { kind = err:kind(), message = err:message(), retryable = err:retryable() } end
  return { value = value, type = math.type(value) or type(value) }
end"""


def decode(lua, text):
    return lua.run(DECODE, text, modules=("yaml",))


WORDS = [
    *((word, word, "string") for word in ("yes", "no", "on", "off", "y", "N", "True1", "1:30")),
    *((word, True, "boolean") for word in ("true", "True", "TRUE")),
    *((word, False, "boolean") for word in ("false", "False", "FALSE")),
    *((word, None, "nil") for word in ("~", "null", "Null", "NULL", "# nothing", "--- # x\n---")),
    *(("0x1F", 31, "integer"), ("0X1f", 31, "integer"), ("-0x10", -16, "integer")),
    *(("0b11", 3, "integer"), ("-0b11", -3, "integer"), ("0o10", 8, "integer")),
    *(("010", 8, "integer"), ("-010", -8, "integer"), ("08", 8.0, "float"), ("0", 0, "integer")),
    *(("1_000", 1000, "integer"), ("+5", 5, "integer"), ("-7", -7, "integer")),
    *(("_1", "_1", "string"), ("0x", "0x", "string"), ("0b2", "0b2", "string")),
    *(("1e3", 1000.0, "float"), ("1.", 1.0, "float"), (".5", 0.5, "float"), ("-.5", -0.5, "float")),
    *(("1_0.5", 10.5, "float"), ("+1.5E-3", 0.0015, "float"), ("1e999", "1e999", "string")),
    *((".infinity", ".infinity", "string"), ("1.2.3", "1.2.3", "string"), ("-", [None], "table")),
    ("9223372036854775807", 2**63 - 1, "integer"),
    ("-9223372036854775808", -(2**63), "integer"),
    ("-0x8000000000000000", -(2**63), "integer"),
    ("0x7fffffffffffffff", 2**63 - 1, "integer"),
    ("99999999999999999999", 1e20, "float"),
    ("0x10000000000000000", "0x10000000000000000", "string"),
    ("2024-01-15", 1705276800, "integer"),
    ("2024-1-5", 1704412800, "integer"),
    ("2024-01-15T10:20:30Z", 1705314030, "integer"),
    ("2024-01-15t10:20:30.75+02:00", 1705306830, "integer"),
    ("2024-01-15 10:20:30", 1705314030, "integer"),
    ("1969-12-31", -86400, "integer"),
    ("0001-01-01", -62135596800, "integer"),
    ("2024-02-30", "2024-02-30", "string"),
    ("2023-02-29", "2023-02-29", "string"),
    ("2024-02-29", 1709164800, "integer"),
    ("2024-01-15 10:20:30 +02:00", "2024-01-15 10:20:30 +02:00", "string"),
    ("2024-01-15T25:00:00Z", "2024-01-15T25:00:00Z", "string"),
    *(('"2024-01-15"', "2024-01-15", "string"), ("'12'", "12", "string"), ('""', "", "string")),
    *(("!!str 12", "12", "string"), ("! 12", "12", "string"), ("!mine 12", "12", "string")),
    *(('!!int "12"', 12, "integer"), ("!!float 3", 3.0, "float"), ("!!null ''", None, "nil")),
    *(('!!timestamp "2024-01-15"', 1705276800, "integer"), ("!!binary aGk=", "hi", "string")),
    ("|\n  a\n  b\n", "a\nb\n", "string"),
    (">-\n  a\n  b\n", "a b", "string"),
    ("a: 1\n---\nb: [", {"a": 1}, "table"),
    ("[1, ~, 3]", [1, None, 3], "table"),
    ("{}", {}, "table"),
    ("[]", [], "table"),
    ("<<", "<<", "string"),
]


@pytest.mark.parametrize(("text", "value", "kind"), WORDS)
def test_a_word_means_what_it_means_to_the_documents_runtime(lua, text, value, kind):
    found = decode(lua, text)
    assert (found.get("value"), found["type"]) == (value, kind)


def test_infinities_and_not_a_number_are_floats(lua):
    # They do not leave the worker: JSON has none.
    source = """return function()
      local huge, small, none = yaml.decode(".inf"), yaml.decode("-.Inf"), yaml.decode(".NaN")
      return { huge == math.huge, yaml.decode("+.INF") == huge, small == -huge, none ~= none }
    end"""
    assert lua.run(source, modules=("yaml",)) == [True] * 4


VALUES = [
    ("1: a\ntrue: b\n1.5: c\n~: d\n2024-01-15: e", "1 true 1.5 null 1705276800"),
    ("&k key: 1\nother: *k", "key other"),
    ("a: &x 1\n*x : 2", "a 1"),
]


@pytest.mark.parametrize(("text", "keys"), VALUES)
def test_keys_become_strings(lua, text, keys):
    assert set(decode(lua, text)["value"]) == set(keys.split())


MERGES = [
    ("b: &b {x: 1, y: 2}\nm:\n  <<: *b\n  y: 3", {"x": 1, "y": 3}),
    ("b: &b {x: 1, y: 2}\nm:\n  y: 3\n  <<: *b", {"x": 1, "y": 3}),
    ("b: &b {x: 1}\nc: &c {x: 2, z: 3}\nm:\n  <<: [*b, *c]", {"x": 1, "z": 3}),
    ("b: &b {x: ~}\nc: &c {x: 2}\nm:\n  w: 0\n  <<: [*b, *c]", {"w": 0}),
    ("m:\n  <<: {x: 1}\n  y: ~", {"x": 1}),
    ('m: {"<<": 1}', {"<<": 1}),
]


@pytest.mark.parametrize(("text", "merged"), MERGES)
def test_a_merge_adds_what_is_missing(lua, text, merged):
    assert decode(lua, text)["value"]["m"] == merged


def test_an_alias_is_a_copy(lua):
    source = """return function()
      local value = yaml.decode("a: &x {m: [1, {}, []]}\\nb: *x")
      value.a.m[1] = 2
      return { value, value.a ~= value.b, (yaml.encode(value.b)) }
    end"""
    value, apart, text = lua.run(source, modules=("yaml",))
    assert value == {"a": {"m": [2, {}, []]}, "b": {"m": [1, {}, []]}}
    assert apart
    assert text == "m:\n    - 1\n    - {}\n    - []\n"


INVALID = [
    ("a: 1\na: 2", 'line 2: mapping key "a" already defined at line 1'),
    ("1: a\n'1': b", "already defined"),
    ("<<: {}\n<<: {}", "already defined"),
    ("a: [", "line 2"),
    ("a: b: c", "mapping values are not allowed"),
    ("\ta: 1", "line 1"),
    ("*x", "unknown anchor 'x' referenced"),
    ("&x [*x]", "anchor 'x' value contains itself"),
    ("<<: 1", "map merge requires map or sequence of maps"),
    ("<<: [{}, 1]", "map merge requires map or sequence of maps"),
    ("[a]: 1", "a key must be a scalar"),
    ("a: &l [1]\n*l : 1", "a key must be a scalar"),
    ("!!int x", "cannot decode `x` as a !!int"),
    ("!!binary '*'", "invalid base64"),
    ("18446744073709551615", "does not fit in 64 bits"),
    ("0xFFFFFFFFFFFFFFFF", "does not fit in 64 bits"),
    ("a\x00b", "not allowed"),
    ("[" * 129 + "]" * 129, "nested more than 128 levels"),
]


@pytest.mark.parametrize(("text", "part"), INVALID)
def test_what_is_no_yaml_is_an_internal_error(lua, text, part):
    found = decode(lua, text)
    assert (found["kind"], found["retryable"]) == ("Internal", False)
    assert part in found["message"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("decode('')", "input cannot be empty"),
        ("decode(5)", "string expected"),
        ("decode()", "string expected"),
        ("encode(5)", "table expected"),
        ("encode(nil)", "table expected"),
        ("encode(errors.new('x'))", "table expected"),
        ("encode({}, {field_order = 'a'})", "field_order must be a list of strings"),
        ("encode({}, {field_order = {1}})", "field_order must be a list of strings"),
    ],
)
def test_wrong_arguments_are_invalid(lua, call, message):
    expression = f"(select(2, yaml.{call}):kind()), (select(2, yaml.{call}):message())"
    assert lua.value(expression) == ["Invalid", message]


def test_options_that_are_no_table_raise(lua):
    with pytest.raises(ToolFailed, match="table expected"):
        lua.run("return function() return yaml.encode({}, 5) end", modules=("yaml",))


def test_deep_nesting_is_kept_to_128_levels(lua):
    source = """return function()
      local function nested(n) local t = {1} for _ = 2, n do t = {t} end return t end
      local looped = {} looped.self = looped
      return { (yaml.decode(("["):rep(128) .. ("]"):rep(128))) ~= nil,
        (yaml.encode(nested(128))) ~= nil, select(2, yaml.encode(nested(129))):message(),
        select(2, yaml.encode(looped)):kind() }
    end"""
    read, written, message, kind = lua.run(source, modules=("yaml",))
    assert (read, written, kind) == (True, True, "Internal")
    assert "nested too deeply" in message


BOMB = """
a: &a [x, x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]
e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
f: [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]
"""
DEEP = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{x: *a{n - 1}}}\n" for n in range(1, 200))
MERGED = "a0: &a0 {k0: 1}\n" + "".join(
    f"a{n}: &a{n} {{k{n}: 1, <<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40)
)


@pytest.mark.parametrize(
    ("text", "part"),
    [(BOMB, "250000 values"), (DEEP, "128 levels"), (MERGED, "250000 values")],
    ids=["width", "depth", "merge"],
)
def test_a_small_text_does_not_become_a_large_value(lua, text, part):
    found = decode(lua, text)
    assert found["kind"] == "Internal"
    assert part in found["message"]


ENCODED = [
    ("{}", "{}\n"),
    ("{a = {}}", "a: {}\n"),
    ("{1, 'two', true}", "- 1\n- two\n- true\n"),
    ("{a = {1, {b = 2, c = {3}}}}", "a:\n    - 1\n    - b: 2\n      c:\n        - 3\n"),
    ("{{1, 2}, {{3}}}", "- - 1\n  - 2\n- - - 3\n"),
    ("{b = 1, a = {d = 2, c = 3}}", "a:\n    c: 3\n    d: 2\nb: 1\n"),
    ("{[true] = 1, [5] = 2, [1.5] = 3}", '"1.5": 3\n"5": 2\n"true": 1\n'),
    ("{1.0, 0.1, 1/3, -2.5, 123456.5}", "- 1\n- 0.1\n- 0.3333333333333333\n- -2.5\n- 123456.5\n"),
    ("{1e300, 1e-7, 1234567.5, 2^60}",
     "- 1e+300\n- 1e-07\n- 1.2345675e+06\n- 1.152921504606847e+18\n"),
    ("{0.0001, -0.0, 2^53}", "- 0.0001\n- 0\n- 9.007199254740992e+15\n"),
    ("{a = 1/0, b = -1/0, c = 0/0}", "a: .inf\nb: -.inf\nc: .nan\n"),
    ("{a = 'x\\ny', b = 'x\\n', c = 'x\\n\\n'}",
     "a: |-\n    x\n    y\nb: |\n    x\nc: |+\n    x\n\n"),
    ("{'x\\n\\ny'}", "- |-\n  x\n\n  y\n"),
    ("{a = ' x\\ny', b = '\\n'}", 'a: " x\\ny"\nb: "\\n"\n'),
    ("{a = print, b = errors.new('oops')}", "a: null\nb: oops\n"),
    (r"{a = '\xff'}", "a: !!binary /w==\n"),
    (r"{a = 'é😀', b = '\0\27\u{85}\u{feff}'}", 'a: é😀\nb: "\\0\\e\\N\\uFEFF"\n'),
    ("{[('k'):rep(130)] = {1}}", f"? {'k' * 130}\n:\n    - 1\n"),
    ("(yaml.decode('a: []\\nb: {}\\nc: [~, 1, ~]'))",
     "a: []\nb: {}\nc:\n    - null\n    - 1\n    - null\n"),
    ("(yaml.decode('[]'))", "[]\n"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), ENCODED)
def test_a_table_is_written_in_block_style(lua, value, text):
    assert lua.value(f"(yaml.encode({value}))") == [text]


QUOTED = [
    *((word, f'"{word}"') for word in ("true", "123", "null", "yes", "2024-01-01", "", "~", "n")),
    *((word, f'"{word}"') for word in ("1:30", "0x1F", "1_000", ".inf", "1e3", "Off", "<<", "08")),
    *((word, f"'{word}'") for word in ("a: b", "a #b", "- a", "-", "? a", "#a", " a", "a ", "[a")),
    *((word, f"'{word}'") for word in ("{a", "*a", "&a", "!a", "|", ">", "%a", "@a", "`a", "a:")),
    *((word, f"'{word}'") for word in ("---", "...a", ", a", '"a')),
    *((word, word) for word in ("a", "a:b", "a#b", "-a", "?a", ":a", "it's", "x, y", "a [b]", "=")),
    *((word, word) for word in ("1.2.3", "1 2", "hello world", "trues", "é", "2024-13-01")),
    ("'a", "'''a'"),
    ("a\tb", '"a\\tb"'),
]


@pytest.mark.parametrize(("string", "text"), QUOTED)
def test_a_string_has_quotes_only_where_it_needs_them(lua, string, text):
    source = "return function(s) return yaml.encode({ a = s, [s] = 1 }) end"
    lines = set(lua.run(source, string, modules=("yaml",)).splitlines())
    assert lines == {f"a: {text}", f"{text}: 1"} - ({f"a: {text}"} if string == "a" else set())


FACTS = {"name": "x", "kind": "k", "meta": {"z": 1, "name": 2, "a": 3}, "b": [{"c": 1, "kind": 2}]}
ORDERED = [
    ("{field_order = {'kind', 'name'}}", "kind name b meta"),
    ("{field_order = {'kind', 'name'}, sort_unordered = true}", "kind name b meta"),
    ("{field_order = {'meta', 'missing', 'meta'}}", "meta b kind name"),
    ("{sort_unordered = true}", "b kind meta name"),
]


@pytest.mark.parametrize(("options", "keys"), ORDERED)
def test_the_order_of_fields_can_be_given(lua, options, keys):
    source = f"return function(facts) return yaml.encode(facts, {options}) end"
    text = lua.run(source, FACTS, modules=("yaml",))
    outer = [line.split(":")[0] for line in text.splitlines() if line[0] not in " -"]
    assert outer == keys.split()
    assert load(text, "x").value == FACTS


def test_an_order_holds_at_each_level_and_options_make_the_indent_two(lua):
    source = "return function(facts) return yaml.encode(facts, { field_order = {'kind', 'z'} }) end"
    assert lua.run(source, FACTS, modules=("yaml",)) == (
        "kind: k\nb:\n  - kind: 2\n    c: 1\nmeta:\n  z: 1\n  a: 3\n  name: 2\nname: x\n"
    )


@pytest.mark.parametrize(
    ("value", "part"),
    [("{1, nil, 3}", "sparse"), ("{1, x = 2}", "mixed"), ("{[{}] = 1}", "key of type table")],
)
def test_what_yaml_cannot_hold_is_an_internal_error(lua, value, part):
    kind, message = lua.value(
        f"(select(2, yaml.encode({value})):kind()), (select(2, yaml.encode({value})):message())"
    )
    assert kind == "Internal"
    assert part in message


def test_encoding_runs_no_metamethod(lua):
    trap = "setmetatable({ a = 1 }, { __index = error, __pairs = error, __len = error })"
    assert lua.value(f"(yaml.encode({trap}))") == ["a: 1\n"]


PARTS = st.sampled_from(
    [*"ab \n\t:#-?[]{},&*!|>'\"%@`\\0179._=~é😀", "\x85", "\u2028", "\ufeff", "null", "true", "---"]
)
STRINGS = st.lists(PARTS, max_size=8).map("".join) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=20
)
SCALARS = (
    STRINGS
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
DATA = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, min_size=1, max_size=4)
    ),
    max_leaves=12,
)


@given(data=st.lists(DATA, min_size=1, max_size=3) | st.dictionaries(STRINGS, DATA, min_size=1))
@settings(max_examples=150, deadline=None)
def test_what_is_written_reads_back_as_itself(lua, data):
    source = """return function(data, options)
      local text = assert(yaml.encode(data, options))
      local back = assert(yaml.decode(text))
      return { text, back, (yaml.encode(back, options)) }
    end"""
    for options in (None, {"field_order": ["a", "b"]}):
        text, back, again = lua.run(source, data, options, modules=("yaml",))
        assert json.dumps(back, sort_keys=True) == json.dumps(whole(data), sort_keys=True)
        assert again == text
        assert load(text, "x").value == data


def whole(value):
    """Return `value` with whole floats as integers, as the encoder writes them."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [whole(item) for item in value]
    return {k: whole(v) for k, v in value.items()} if isinstance(value, dict) else value
