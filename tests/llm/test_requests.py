"""Requests in both dialects, byte for byte, and what reusing their parts may not change."""

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micro_agi.errors import InputInvalid
from micro_agi.llm import history
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.providers.openai import OpenAi
from micro_agi.llm.providers.openai_responses import Items
from micro_agi.llm.request import ModelOptions, ModelRequest, ProviderAccess
from micro_agi.messages import Document, Image, Message, Text, ToolCall, ToolSpec, message
from micro_agi.values import Secret

SCHEMA = {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}
CLOCK = ToolSpec(id="app:clock", name="clock", description="Tells time.", schema=SCHEMA)
CALL = ToolCall(id="call_1", name="clock", arguments='{"zone": "UTC"}')
TALK = [
    message("user", "what time is it?"),
    Message(role="assistant", parts=(Text("Let me look."),), tool_calls=(CALL,)),
    message("tool", "12:00", tool_call_id="call_1", name="clock"),
    message("developer", "The user is in a hurry."),
    message("assistant", "Noon."),
]


def provider(*, compatible=True):
    access = ProviderAccess(base_url="http://127.0.0.1:1/v1/", api_key=Secret("k"))
    return OpenAi(access, compatible=compatible)


def card(**options):
    return ModelCard(
        name="m", provider="p", provider_model="served-m", output_tokens=5000, options=options
    )


def prepared(request, to=None):
    return (to or provider()).prepare(request)


def body(messages=TALK, *, system="Be brief.", tools=(), options=None, to=None, **card_options):
    request = ModelRequest(
        model=card(**card_options),
        system=system,
        messages=messages,
        tools=tools,
        options=options or ModelOptions(),
    )
    return msgspec.json.decode(prepared(request, to).body)


def test_a_chat_request():
    request = ModelRequest(
        model=card(),
        system="Be brief.",
        messages=TALK,
        tools=(CLOCK,),
        options=ModelOptions(max_tokens=9000, temperature=0.0, tool_choice="clock", user="u"),
    )
    ready = prepared(request)
    assert ready.url == "http://127.0.0.1:1/v1/chat/completions"
    assert ready.hash == hashlib.sha256(ready.body).hexdigest()
    assert ready.body.decode() == (
        '{"model":"served-m","stream":true,"stream_options":{"include_usage":true},'
        '"tools":[{"type":"function","function":{"name":"clock","description":"Tells time.",'
        '"parameters":{"type":"object","properties":{"zone":{"type":"string"}},'
        '"required":["zone"]}}}],"messages":[{"role":"system","content":"Be brief."},'
        '{"role":"user","content":"what time is it?"},'
        '{"role":"assistant","content":"Let me look.","tool_calls":[{"id":"call_1",'
        '"type":"function","function":{"name":"clock","arguments":"{\\"zone\\": \\"UTC\\"}"}}]},'
        '{"role":"tool","tool_call_id":"call_1","content":"12:00","name":"clock"},'
        '{"role":"system","content":"The user is in a hurry."},'
        '{"role":"assistant","content":"Noon."}],"max_tokens":5000,"temperature":0.0,'
        '"tool_choice":{"type":"function","function":{"name":"clock"}},"user":"u"}'
    )


def test_a_responses_request():
    request = ModelRequest(
        model=card(api="responses", reasoning_model_request=True),
        system="Be brief.",
        messages=TALK,
        tools=(CLOCK,),
        options=ModelOptions(max_tokens=100, temperature=1.0, thinking_effort=10),
    )
    ready = prepared(request)
    assert ready.url == "http://127.0.0.1:1/v1/responses"
    assert ready.body.decode() == (
        '{"model":"served-m","stream":true,"store":false,'
        '"include":["reasoning.encrypted_content"],"instructions":"Be brief.",'
        '"tools":[{"type":"function","name":"clock","description":"Tells time.",'
        '"parameters":{"type":"object","properties":{"zone":{"type":"string"}},'
        '"required":["zone"]},"strict":false}],"input":['
        '{"type":"message","role":"user",'
        '"content":[{"type":"input_text","text":"what time is it?"}]},'
        '{"type":"message","role":"assistant",'
        '"content":[{"type":"output_text","text":"Let me look."}]},'
        '{"type":"function_call","call_id":"call_1","name":"clock",'
        '"arguments":"{\\"zone\\": \\"UTC\\"}"},'
        '{"type":"function_call_output","call_id":"call_1","output":"12:00"},'
        '{"type":"message","role":"developer",'
        '"content":[{"type":"input_text","text":"The user is in a hurry."}]},'
        '{"type":"message","role":"assistant",'
        '"content":[{"type":"output_text","text":"Noon."}]}],'
        '"max_output_tokens":100,"reasoning":{"effort":"low"}}'
    )


def test_system_messages_at_the_start_become_one():
    start = [message("system", "Conversation summary: x"), message("developer", "y"), *TALK]
    wire = body(start)["messages"]
    assert wire[0] == {"role": "system", "content": "Be brief.\n\nConversation summary: x\n\ny"}
    assert wire[1]["role"] == "user"
    assert body(start, api="responses")["instructions"].endswith("x\n\ny")


def test_openai_itself_keeps_the_developer_role():
    assert body()["messages"][4]["role"] == "system"
    assert body(to=provider(compatible=False))["messages"][4]["role"] == "developer"


def test_nothing_is_sent_that_nobody_asked_for():
    assert set(body()) == {"model", "stream", "stream_options", "messages"}
    assert body(system="", messages=[])["messages"] == []


@pytest.mark.parametrize(
    ("choice", "chat", "responses"),
    [
        ("auto", None, None),
        ("any", "required", "required"),
        ("required", "required", "required"),
        ("none", "none", "none"),
        (
            "clock",
            {"type": "function", "function": {"name": "clock"}},
            {"type": "function", "name": "clock"},
        ),
    ],
)
def test_the_choice_of_a_tool(choice, chat, responses):
    options = ModelOptions(tool_choice=choice)
    assert body(tools=(CLOCK,), options=options).get("tool_choice") == chat
    wire = body(tools=(CLOCK,), options=options, api="responses")
    assert wire.get("tool_choice") == responses
    assert "tool_choice" not in body(options=ModelOptions(tool_choice="any"))


def test_choosing_a_tool_that_is_not_there_is_an_error():
    with pytest.raises(InputInvalid, match="clok"):
        body(tools=(CLOCK,), options=ModelOptions(tool_choice="clok"))


@pytest.mark.parametrize(
    ("effort", "chat", "responses"),
    [
        (0, "low", "minimal"),
        (10, "low", "low"),
        (24, "low", "low"),
        (25, "medium", "medium"),
        (60, "medium", "high"),
        (75, "high", "high"),
        (100, "high", "xhigh"),
        (None, None, None),
    ],
)
def test_thinking_effort_of_reasoning_models(effort, chat, responses):
    options = ModelOptions(thinking_effort=effort, max_tokens=7, temperature=0.5)
    wire = body(options=options, reasoning_model_request=True)
    assert wire.get("reasoning_effort") == chat
    assert wire["max_completion_tokens"] == 7
    assert "temperature" not in wire
    assert "max_tokens" not in wire
    wire = body(options=options, reasoning_model_request=True, api="responses")
    assert wire.get("reasoning", {}).get("effort") == responses


def test_a_models_own_effort_counts_unless_the_request_has_one():
    model = ModelCard(
        name="m",
        provider_model="m",
        thinking_effort=90,
        options={"reasoning_model_request": True},
    )
    for effort, expected in ((None, "high"), (0, "low")):
        request = ModelRequest(
            model=model, system="", messages=[], options=ModelOptions(thinking_effort=effort)
        )
        assert msgspec.json.decode(prepared(request).body)["reasoning_effort"] == expected


def test_options_of_the_card_are_sent():
    wire = body(top_p=0.5, seed=7, extra_body={"chat_template_kwargs": {"x": 1}}, max_tokens=12)
    assert (wire["top_p"], wire["seed"], wire["max_tokens"]) == (0.5, 7, 12)
    assert wire["chat_template_kwargs"] == {"x": 1}


def test_malformed_arguments_of_earlier_calls_go_back_inside_an_object():
    bad = ToolCall(id="call_2", name="clock", arguments='{"zone": UTC')
    wire = body([message("user", "x"), Message(role="assistant", tool_calls=(bad,))])
    text = wire["messages"][-1]["tool_calls"][0]["function"]["arguments"]
    assert msgspec.json.decode(text) == {"malformed": '{"zone": UTC'}


def test_images_and_documents():
    parts = (
        Text("look"),
        Image(url="http://x/y.png"),
        Image(data="AAAA", mime="image/jpeg"),
        Document(data="BBBB", mime="application/pdf"),
    )
    chat = body([Message(role="user", parts=parts)])["messages"][1]["content"]
    assert [p["type"] for p in chat] == ["text", "image_url", "image_url", "file"]
    assert chat[2]["image_url"]["url"] == "data:image/jpeg;base64,AAAA"
    wire = body([Message(role="user", parts=parts)], api="responses")["input"][0]["content"]
    assert [p["type"] for p in wire] == ["input_text", "input_image", "input_image", "input_file"]
    assert wire[3]["file_data"] == "data:application/pdf;base64,BBBB"


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_images_of_tool_results_follow_the_run_of_results(api):
    image = Image(data="AAAA", mime="image/png")
    first = Message(role="tool", parts=(Text("shot"), image), tool_call_id="call_1", name="clock")
    second = message("tool", "other", tool_call_id="call_2", name="clock")
    to = provider()
    talk = [message("user", "x"), first, second]
    for more in ([], [message("user", "and?")]):
        talk += more
        wire = body(talk, api=api, to=to)
        items = wire["messages"][1:] if api == "chat" else wire["input"]
        kinds = [item.get("role") or item["type"] for item in items]
        result = "tool" if api == "chat" else "function_call_output"
        assert kinds[:4] == ["user", result, result, "user"]
        assert "AAAA" in str(items[3])
        assert str(wire).count("AAAA") == 1


def conversation(number):
    kinds = [
        message("user", f"question {number} é"),
        Message(role="assistant", tool_calls=(CALL,)),
        Message(role="tool", parts=(Image(url=f"http://x/{number}"),), tool_call_id="call_1"),
        message("tool", f"result {number}", tool_call_id="call_1"),
        message("assistant", f"answer {number}"),
        message("system", f"note {number}"),
    ]
    return kinds[number % len(kinds)]


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["grow", "cut", "swap", "system", "tools"]), st.integers(0, 30)),
        max_size=12,
    ),
    api=st.sampled_from(["chat", "responses"]),
)
def test_reused_parts_give_the_bytes_that_a_fresh_provider_gives(steps, api):
    kept = provider()
    talk, system, tools = [message("user", "start")], "", ()
    for what, number in steps:
        if what == "grow":
            talk = [*talk, *(conversation(number + i) for i in range(3))]
        elif what == "cut":
            talk = talk[: 1 + number % len(talk)]
        elif what == "swap":
            talk[number % len(talk)] = conversation(number)
        elif what == "system":
            system = f"system {number}" if number % 2 else ""
        else:
            tools = (CLOCK,) * (number % 3)
        request = ModelRequest(model=card(api=api), system=system, messages=talk, tools=tools)
        reused, fresh = kept.prepare(request), prepared(request)
        assert reused.body == fresh.body
        assert reused.hash == hashlib.sha256(reused.body).hexdigest()
        msgspec.json.decode(reused.body)


def test_old_conversations_are_forgotten(monkeypatch):
    monkeypatch.setattr(history, "MAX_CONVERSATIONS", 2)
    kept = history.History()
    for number in range(5):
        kept.body(b"[", [message("user", str(number))] * 2, b"]", Items("m"))
    assert len(kept) == 2
    monkeypatch.setattr(history, "MAX_BYTES", 10)
    kept.body(b"[", [message("user", "more")] * 2, b"]", Items("m"))
    assert len(kept) == 1
    # A summariser's, which is long and never asked again.
    kept.body(b"[", [message("user", "all of it")], b"]", Items("m"))
    assert len(kept) == 1
