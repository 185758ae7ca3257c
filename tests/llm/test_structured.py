"""JSON out of what models write, and when a service is told the schema."""

import asyncio
import json

import msgspec
import pytest
from msgspec.structs import replace

from micro_agi.errors import OutputInvalid, ProviderRefused
from micro_agi.framework.host import compile_schema
from micro_agi.llm.gateway import Gateway
from micro_agi.llm.providers.anthropic import tail as anthropic_tail
from micro_agi.llm.providers.closed_schema import closed_schema
from micro_agi.llm.providers.openai_chat import tail
from micro_agi.llm.providers.openai_responses import tail as responses_tail
from micro_agi.llm.providers.scripted import scripted_card
from micro_agi.llm.request import ModelOptions, ModelRequest, ProviderAccess
from micro_agi.llm.structured import is_strict, json_in, structured
from micro_agi.messages import message
from micro_agi.net.client import Client
from micro_agi.testing.model_server import Fault, Reply, ScriptedServer
from micro_agi.values import Secret
from tests.llm.asked import KINDS

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


def sent_schema(kind, body):
    """Return the schema in the body of a request, where each service has it; None without one."""
    if kind.wire == "chat":
        return body.get("response_format", {}).get("json_schema", {}).get("schema")
    if kind.wire == "responses":
        return body.get("text", {}).get("format", {}).get("schema")
    if kind.wire == "anthropic":
        found = body.get("output_config", {}).get("format", {})
        assert found.get("type") in (None, "json_schema")
        return found.get("schema")
    config = body.get("generationConfig", {})
    assert (config.get("responseMimeType") == "application/json") == (
        "responseJsonSchema" in config
    )
    return config.get("responseJsonSchema")


def ask(kind, script, schema, capabilities=ABLE):
    """Ask for a value of a schema; return what came of it and the requests the server got."""

    async def main():
        client = Client(offline=True)
        async with ScriptedServer(script) as server:
            access = ProviderAccess(base_url=server.address(kind.wire), api_key=Secret("k"))
            gateway = Gateway(client, kind.build(access))
            wanted = ModelRequest(
                model=kind.able(capabilities), system="", messages=[message("user", "go")]
            )

            async def once(asked):
                return await gateway.generate(asked, lambda _: None)

            try:
                found = await structured(wanted, schema, compile_schema(schema), once)
            except (OutputInvalid, ProviderRefused) as error:
                found = error
            await client.close()
        return found, [r.body for r in server.received]

    return asyncio.run(asyncio.wait_for(main(), 10))


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


@pytest.mark.requirement("003/llm/structured-wire", "agents/providers/structured-output")
def test_every_service_is_told_the_schema_and_its_answer_is_checked_and_repaired_once(kind):
    found, bodies = ask(kind, [Reply(text='{"a": [7]}'), Reply(text='{"a": ["x"]}')], CLOSED)
    assert (found.value, len(found.replies)) == ({"a": ["x"]}, 2)
    assert [sent_schema(kind, body) for body in bodies] == [CLOSED, CLOSED]
    assert "$.a[0]" in json.dumps(bodies[1])
    found, _ = ask(kind, [Reply(text='{"a": [7]}')] * 2, CLOSED)
    assert isinstance(found, OutputInvalid)


@pytest.mark.requirement("agents/providers/structured-output")
def test_a_model_that_cannot_is_told_in_words_alone(kind):
    found, (body,) = ask(kind, [Reply(text='{"a": []}')], CLOSED, ("generate",))
    assert found.value == {"a": []}
    assert sent_schema(kind, body) is None
    assert "additionalProperties" in json.dumps(body)


@pytest.mark.requirement("agents/providers/structured-output")
def test_a_schema_that_a_service_refuses_is_told_it_in_words(kind):
    refused = Fault(status=400, message="Schema is too complex")
    found, bodies = ask(kind, [refused, Reply(text='{"a": []}')], CLOSED)
    assert found.value == {"a": []}
    assert [sent_schema(kind, body) for body in bodies] == [CLOSED, None]
    for fault, tries in ((refused, 2), (Fault(status=401), 1)):
        found, bodies = ask(kind, [fault] * 2, CLOSED)
        assert isinstance(found, ProviderRefused)
        assert len(bodies) == tries


OPEN = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}}
LIST = {"type": "object", "properties": {"next": {"$ref": "#/$defs/l"}}}


@pytest.mark.requirement("agents/providers/structured-output")
@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (CLOSED, CLOSED),
        (
            OPEN,
            {
                "type": "object",
                "properties": {"n": {"type": "integer"}},
                "additionalProperties": False,
            },
        ),
        (
            {**CLOSED, "properties": {"a": {"oneOf": [{"type": "string"}, {"$ref": "#/$defs/o"}]}}}
            | {"$defs": {"o": OPEN}},
            {**CLOSED, "properties": {"a": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/o"}]}}}
            | {
                "$defs": {
                    "o": {
                        "type": "object",
                        "properties": {"n": {"type": "integer"}},
                        "additionalProperties": False,
                    }
                }
            },
        ),
        # What would forbid more than the schema does, and what refers to itself.
        ({"type": "object"}, None),
        ({"type": "object", "properties": {"m": {"type": "object"}}}, None),
        ({**CLOSED, "additionalProperties": {"type": "string"}}, None),
        ({**CLOSED, "not": {"required": ["a"]}}, None),
        ({**CLOSED, "properties": {"a": True}}, None),
        ({**CLOSED, "properties": {"a": {"enum": [{"b": 1}]}}}, None),
        (LIST | {"$defs": {"l": LIST}}, None),
        (LIST, None),
        ({**CLOSED, "properties": {"a": {"$ref": "http://example.com/x"}}}, None),
        ({"type": "array", "items": {"type": "string"}}, None),
    ],
)
def test_anthropic_is_sent_what_it_can_enforce_of_a_schema_and_nothing_that_forbids_more(
    schema, said
):
    assert closed_schema(schema) == said


def test_a_schema_of_any_depth_and_with_many_references_is_said_or_not_at_once():
    deep = {"type": "string"}
    for _ in range(5000):
        deep = {"type": "object", "properties": {"a": deep}}
    assert closed_schema(deep) is None
    twice = {
        f"d{n}": {"type": "object", "properties": {k: {"$ref": f"#/$defs/d{n + 1}"} for k in "ab"}}
        for n in range(24)
    }
    wide = {**OPEN, "properties": {"a": {"$ref": "#/$defs/d0"}}}
    assert closed_schema(wide | {"$defs": {**twice, "d24": {"type": "string"}}}) is not None


def test_old_models_of_anthropic_and_effort_keep_their_own():
    card = replace(
        KINDS["anthropic"].able((*ABLE, "thinking")), provider_model="claude-3-5-haiku-latest"
    )
    old = ModelRequest(model=card, system="", messages=[], options=ModelOptions(schema=CLOSED))
    assert "output_config" not in msgspec.json.decode(b'{"x":[' + anthropic_tail(old))
    new = replace(old, model=replace(card, provider_model="claude-sonnet-5-5"))
    new = replace(new, options=replace(new.options, thinking_effort=50))
    config = msgspec.json.decode(b'{"x":[' + anthropic_tail(new))["output_config"]
    assert config == {"effort": "medium", "format": {"type": "json_schema", "schema": CLOSED}}
