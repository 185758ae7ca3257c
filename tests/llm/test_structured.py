"""JSON out of what models write, and when a service is told the schema."""

import msgspec
import pytest

from micro_agi.llm.providers.openai_chat import tail
from micro_agi.llm.providers.openai_responses import tail as responses_tail
from micro_agi.llm.providers.scripted import scripted_card
from micro_agi.llm.request import ModelOptions, ModelRequest
from micro_agi.llm.structured import is_strict, json_in

CLOSED = {
    "type": "object",
    "properties": {"a": {"type": "array", "items": {"type": "string"}}},
    "required": ["a"],
    "additionalProperties": False,
}
ABLE = ("generate", "structured_output")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        (" [1, 2] \n", [1, 2]),
        ("5", 5),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ("```\n[1]\n```\nThat is all.", [1]),
        ('Sure! {"a": {"b": [1]}} Anything else?', {"a": {"b": [1]}}),
        ("The list is [1, 2].", [1, 2]),
    ],
)
def test_json_is_found_in_what_models_write(text, value):
    assert json_in(text) == value


@pytest.mark.parametrize("text", ["", "  ", "no", "{a: 1}", '{"a": 1', "[" * 5000])
def test_what_is_no_json_says_so(text):
    with pytest.raises(ValueError, match="the answer is"):
        json_in(text)


def request(capabilities, schema):
    card = scripted_card(capabilities=capabilities)
    options = ModelOptions(schema=schema)
    return ModelRequest(model=card, system="", messages=[], options=options)


@pytest.mark.requirement("003/llm/structured-wire")
@pytest.mark.parametrize(
    ("tail_of", "path"),
    [
        (tail, lambda body: body["response_format"]["json_schema"]),
        (responses_tail, lambda body: body["text"]["format"]),
    ],
)
def test_a_service_that_can_enforce_a_schema_is_sent_it(tail_of, path):
    def options(wanted):
        return msgspec.json.decode(b'{"x":[' + tail_of(wanted))

    sent = path(options(request(ABLE, CLOSED)))
    assert (sent["schema"], sent["strict"]) == (CLOSED, True)
    open_schema = {"type": "object", "properties": {}}
    assert path(options(request(ABLE, open_schema)))["strict"] is False
    for wanted in (request(("generate",), CLOSED), request(ABLE, None)):
        assert not {"response_format", "text"} & set(options(wanted))


def test_only_closed_objects_with_everything_required_are_strict():
    assert is_strict(CLOSED)
    assert not is_strict({**CLOSED, "additionalProperties": True})
    assert not is_strict({**CLOSED, "required": []})
    inside = {"type": "array", "items": {"type": "object", "properties": {}}}
    assert not is_strict({**CLOSED, "properties": {"a": inside}})
