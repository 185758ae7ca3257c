"""The `json` module, to the letter of spec/runtime.md 6.2."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro_agi.errors import ToolFailed

ENCODED = [
    ("nil", "null"),
    ("true", "true"),
    ("42", "42"),
    ("1.0", "1"),
    ("-0.5", "-0.5"),
    ("0.1", "0.1"),
    ("1/3", "0.3333333333333333"),
    ("1e21", "1e+21"),
    ("1e-7", "1e-7"),
    ("{1e21}", "[1000000000000000000000]"),
    ("{1e-7}", "[0.0000001]"),
    ("{12345.678}", "[12345.678]"),
    ("0/0", "null"),
    ("math.huge", "null"),
    ("print", "null"),
    ("{}", "[]"),
    ("{{}}", "[[]]"),
    ("{1, 2, 3}", "[1,2,3]"),
    ("{b = 1, a = {c = 'x'}}", '{"a":{"c":"x"},"b":1}'),
    ("{[true] = 1, [5] = 2}", '{"5":2,"true":1}'),
    (r"'<a href=\"x\">&</a>'", r'"\u003ca href=\"x\"\u003e\u0026\u003c/a\u003e"'),
    (r"'tab\tline\n\1'", r'"tab\tline\n\u0001"'),
    (r"'\u{2028}é😀'", r'"\u2028é😀"'),
    (r"'bad\xff'", '"bad\ufffd"'),
    ("errors.new('oops')", '"oops"'),
    ("time.now()", "null"),
    ("json.decode('{}')", "{}"),
    ("json.decode('[]')", "[]"),
    ("json.decode('{\"a\":null}')", "{}"),
]


@pytest.mark.parametrize(("value", "text"), ENCODED)
def test_a_value_is_encoded_by_the_documents_rules(lua, value, text):
    assert lua.value(f"(json.encode({value}))") == [text]


UNENCODABLE = [
    ("{1, nil, 3}", "sparse"),
    ("{1, 2, x = 3}", "mixed"),
    ("json.decode('[null, 1]')", "sparse"),
    ("(function() local t = {} t[1] = t return t end)()", "nested too deeply"),
]


@pytest.mark.parametrize(("value", "part"), UNENCODABLE)
def test_what_json_cannot_hold_is_an_internal_error(lua, value, part):
    source = f"""return function()
      local text, err = json.encode({value})
      return {{ text == nil, err:kind(), err:message(), tostring(err:retryable()) }}
    end"""
    absent, kind, message, retryable = lua.run(source, modules=("json",))
    assert (absent, kind, retryable) == (True, "Internal", "false")
    assert part in message


def test_nesting_ends_at_129_tables_when_encoding_and_128_when_decoding(lua):
    source = """return function()
      local function nested(n) local t = {} for _ = 2, n do t = {t} end return t end
      local function brackets(n) return ("["):rep(n) .. ("]"):rep(n) end
      return { (json.encode(nested(129))) ~= nil, (json.encode(nested(130))) ~= nil,
        (json.decode(brackets(128))) ~= nil, (json.decode(brackets(129))) ~= nil }
    end"""
    assert lua.run(source, modules=("json",)) == [True, False, True, False]


DECODED = [
    ("1", [1, "integer"]),
    ("1.0", [1.0, "float"]),
    ("1e2", [100.0, "float"]),
    ("99999999999999999999", [9223372036854775807, "integer"]),
    ("-99999999999999999999", [-9223372036854775808, "integer"]),
    ("7 trailing", [7, "integer"]),
]


@pytest.mark.parametrize(("text", "expected"), DECODED)
def test_numbers_keep_their_type_and_integers_saturate(lua, text, expected):
    found = lua.value(f"json.decode('{text}'), math.type((json.decode('{text}')))")
    assert [found[0], found[-1]] == expected


def test_a_document_survives_a_round_trip(lua):
    text = '{"a":[1,-2.5,true,"x\\"y"],"b":{"c":{}},"d":[],"e":"😀"}'
    source = "return function(text) return json.encode(json.decode(text)) end"
    assert lua.run(source, text, modules=("json",)) == text
    assert lua.run(source, r'"\ud83d\ude00\u00e9\/"', modules=("json",)) == '"😀é/"'


MALFORMED = [
    *("{", "[1,]", "{'a':1}", '{"a" 1}', "nul", '"open', '"\\x"', '"\\ud800"', "-"),
    *('{"a":1,"a":2}', '{"a":null,"a":2}', "[1 2]", '"\t"', "+1", ".5"),
]


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed_text_is_an_internal_error(lua, text):
    source = """return function(text)
      local value, err = json.decode(text)
      return { value == nil, err:kind() }
    end"""
    assert lua.run(source, text, modules=("json",)) == [True, "Internal"]


def test_wrong_arguments_of_decode_are_invalid(lua):
    found = lua.value("tostring(select(2, json.decode(5))), tostring(select(2, json.decode('')))")
    assert found == ["string expected", "empty string is not valid JSON"]


SCHEMA = "{type = 'object', required = {'a'}, properties = {a = {type = 'integer', minimum = 1}}}"
VALIDATED = [
    (f"json.validate({SCHEMA}, {{a = 1}})", [True, "nil"]),
    (f"json.validate({SCHEMA}, {{}})", [False, '"a" is a required property']),
    (f"json.validate({SCHEMA}, {{a = 0}})", [False, "/a"]),
    ("json.validate({type = 'object'}, {})", [True, "nil"]),
    ("json.validate({type = 'object', properties = {}, required = {}}, {})", [True, "nil"]),
    ("json.validate('{\"type\": \"string\"}', 'x')", [True, "nil"]),
    ("json.validate(nil, 1)", [False, "schema is required"]),
    ("json.validate({}, nil)", [False, "data is required"]),
    ("json.validate({type = 'nonsense'}, 1)", [False, "invalid schema"]),
    ("json.validate({['$ref'] = 'http://127.0.0.1/x'}, 1)", [False, "not followed"]),
    ("json.validate_string({type = 'array'}, '[]')", [True, "nil"]),
    ("json.validate_string({type = 'array'}, 5)", [False, "data must be a JSON string"]),
    ("json.validate_string({type = 'array'}, '[')", [False, "invalid data"]),
]


@pytest.mark.parametrize(("call", "expected"), VALIDATED)
def test_validation_says_what_does_not_fit(lua, call, expected):
    ok, problem = lua.value(f"(function(ok, err) return {{ok, tostring(err)}} end)({call})")[0]
    assert ok == expected[0]
    assert expected[1] in problem


def test_a_schema_that_asks_for_exponential_work_hits_the_deadline(lua):
    source = """return function()
      local defs = { a0 = { type = "object" } }
      for n = 1, 40 do
        local ref = { ["$ref"] = "#/$defs/a" .. n - 1 }
        defs["a" .. n] = { anyOf = { ref, ref }, allOf = { ref, ref } }
      end
      return json.validate({ ["$defs"] = defs, ["$ref"] = "#/$defs/a40" }, { x = 1 })
    end"""
    with pytest.raises(ToolFailed, match=r"computed for more than|was stopped|memory"):
        lua.run(source, modules=("json",))


# Texts of 200 bytes and more are parsed in C; half a surrogate pair, here in the text after
# the value that is ignored, sends them to the decoder in Lua. What the first accepts, the
# second accepts too, with the same value.
BOTH_DECODERS = r"""
local function show(v)
  if type(v) ~= "table" then return (math.type(v) or type(v)) .. ":" .. tostring(v) end
  local keys, parts = {}, {}
  for key in pairs(v) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for n, key in ipairs(keys) do parts[n] = show(key) .. "=" .. show(v[key]) end
  return "{" .. table.concat(parts, ",") .. "}" .. tostring(json.encode(v))
end
return function(text)
  local fast, problem = json.decode((" "):rep(200) .. text)
  if problem then return { false } end
  local slow, also = json.decode((" "):rep(200) .. text .. ' "\\ud800"')
  return { true, show(fast), also and tostring(also) or show(slow) }
end"""
LITERALS = st.sampled_from(
    [
        *(
            "0",
            "-0",
            "1.0",
            "-1.5e3",
            "1E400",
            "-1e-400",
            "2147483647",
            "2147483648",
            "-2147483649",
        ),
        *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "1" * 30, "007"),
        *("4294967296", "1152921504606846976", "NaN", "Infinity", "-Infinity", "1.", "+1", "nul"),
        *('""', '"\\u00e9\\/"', '"\\ud83d\\ude00"', '"\\ud800"', '"\t"', '"é😀"', '"\\u0000"'),
        *('{"a":1,"a":2}', '{"a":null,"a":2}', '{"a":null}', "[null]", "[null,1]", "[]", "{}"),
    ]
)
TEXTS = st.recursive(
    LITERALS | st.text(max_size=8).map(json.dumps) | st.floats(width=64).map(json.dumps),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda all_: "[" + " , ".join(all_) + "]")
        | st.dictionaries(st.text(max_size=4), inner, max_size=4).map(
            lambda d: (
                "{"
                + ",".join(f"{json.dumps(k, ensure_ascii=False)}: {v}" for k, v in d.items())
                + "}"
            )
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(TEXTS, st.integers(0, 60), st.sampled_from(["", "x", ",", "]", "\\"]))
def test_the_fast_decoder_and_the_exact_one_agree(lua, text, cut, insertion):
    for tried in (text, text[:cut] + insertion + text[cut:], text[:cut]):
        found = lua.run(BOTH_DECODERS, tried, modules=("json",))
        assert not found[0] or found[1] == found[2], tried


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed_long_text_is_the_same_error(lua, text):
    source = """return function(text)
      local _, short = json.decode(text)
      local _, long = json.decode((" "):rep(300) .. text)
      local what = "^invalid JSON at byte %d+: "
      return { (tostring(short):gsub(what, "")), (tostring(long):gsub(what, "")) }
    end"""
    short, long = lua.run(source, text, modules=("json",))
    assert short == long


def test_long_text_is_decoded_to_128_levels_too(lua):
    source = """return function(depth)
      return (json.decode((" "):rep(300) .. ("["):rep(depth) .. ("]"):rep(depth))) ~= nil
    end"""
    found = [lua.run(source, depth, modules=("json",)) for depth in (128, 129, 5000)]
    assert found == [True, False, False]
