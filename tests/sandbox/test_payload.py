"""Payloads: spec/runtime.md 4.5."""

import pytest

FORMATS = {
    "JSON": "json/plain",
    "YAML": "yaml/plain",
    "STRING": "text/plain",
    "BYTES": "application/octet-stream",
    "MSGPACK": "application/msgpack",
    "LUA": "lua/any",
    "GOLANG": "golang/any",
    "ERROR": "golang/error",
}
ROWS = [
    *((f"payload.format.{name}", text) for name, text in FORMATS.items()),
    ("payload.new({1}):get_format()", "lua/any"),
    ("payload.new(errors.new('x')):get_format()", "golang/error"),
    ("payload.new({a = 1}):data()", {"a": 1}),
    ("payload.new(nil):data() == nil", True),
    ("payload.new(5):unmarshal()", 5),
    ("payload.new({a = {1, 2}}):transcode(payload.format.JSON):data()", '{"a":[1,2]}'),
    ("payload.new({a = {1, 2}}):transcode('json/plain'):unmarshal()", {"a": [1, 2]}),
    ("payload.new({a = 1}):transcode('json/plain'):transcode('text/plain'):data()", '{"a":1}'),
    ("payload.new({a = 1}):transcode('json/plain'):transcode('lua/any'):data().a", 1),
    (
        "payload.new({1, 'x', true}):transcode('application/msgpack'):data() == "
        "'\\x93\\1\\xa1x\\xc3'",
        True,
    ),
    (
        "payload.new({1, 'x', {b = 2.5}}):transcode('application/msgpack'):unmarshal()",
        [1, "x", {"b": 2.5}],
    ),
    ("payload.new({a = {1, 'x'}}):transcode('yaml/plain'):data()", "a:\n    - 1\n    - x\n"),
    ("payload.new({a = {1, 'x'}}):transcode('yaml/plain'):unmarshal()", {"a": [1, "x"]}),
    ("payload.new('a: b'):transcode('yaml/plain'):data()", "'a: b'\n"),
    ("payload.new('a\\nb'):transcode('yaml/plain'):unmarshal()", "a\nb"),
    ("payload.new(2.5):transcode('yaml/plain'):unmarshal()", 2.5),
    ("payload.new(nil):transcode('yaml/plain'):data()", "null\n"),
    ("payload.new(1.5):transcode('text/plain'):data()", "1.5"),
    (
        "payload.new('t'):transcode('application/octet-stream'):get_format()",
        "application/octet-stream",
    ),
    ("payload.new('t'):transcode('golang/error'):data():message()", "t"),
    ("payload.new('t'):transcode('golang/any'):unmarshal()", "t"),
    ("type(payload.new(1)) .. tostring(payload.new(1))", "userdatapayload.Payload{lua/any}"),
    ("select(2, payload.new({}):transcode('no/such')):kind()", "Internal"),
    (
        "select(2, payload.new({}):transcode('no/such')):message()",
        "transcode failed: there is no format `no/such`",
    ),
    (
        "select(2, payload.new({}):transcode('text/plain')):message()",
        "transcode failed: a table has no text",
    ),
    ("select(2, payload.new({[1.5] = 1, 2}):transcode('json/plain')):kind()", "Internal"),
    ("(pcall(payload.new(1).transcode, payload.new(1)))", False),
]


@pytest.mark.parametrize(("expression", "expected"), ROWS)
def test_a_payload_does_what_the_documents_say(lua, expression, expected):
    assert lua.value(f"({expression})") == [expected]
