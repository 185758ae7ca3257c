"""The `json` module, to the letter of spec/runtime.md 6.2."""

import pytest

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
