"""Requests to Anthropic and Google, byte for byte, and how their models want to be asked."""

import base64
import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micro_agi.agent.prompt import Prompt
from micro_agi.errors import InputInvalid
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.providers.anthropic import AnthropicDialect, wire_id
from micro_agi.llm.providers.table import ANTHROPIC, GOOGLE, build_providers
from micro_agi.llm.request import ModelOptions, ModelRequest, ProviderAccess
from micro_agi.messages import (
    CACHE_MARKER,
    Document,
    Image,
    Message,
    Text,
    ToolCall,
    ToolSpec,
    message,
)
from micro_agi.values import Secret

SCHEMA = {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}
CLOCK = ToolSpec(id="app:clock", name="clock", description="Tells time.", schema=SCHEMA)

ONE = ToolCall(id="toolu_00001", name="clock", arguments='{"zone": "UTC"}')
TWO = ToolCall(id="toolu_00002", name="dice", arguments="")
TALK = [
    message("user", "what time is it?"),
    Message(role="assistant", parts=(Text("Let me look."),), tool_calls=(ONE, TWO)),
    message("tool", "12:00", tool_call_id="toolu_00001", name="clock"),
    message("tool", "broken", tool_call_id="toolu_00002", name="dice", metadata={"error": True}),
    message("developer", "Hurry."),
    message("assistant", "Noon."),
]
MODELS = {ANTHROPIC: "claude-haiku-4-5", GOOGLE: "gemini-2.5-flash"}


def providers():
    return build_providers(dict.fromkeys(MODELS, ProviderAccess(base_url="http://127.0.0.1:1")))


def prepared(
    provider,
    messages=TALK,
    *,
    model="",
    system="Be brief.",
    tools=(),
    to=None,
    card=None,
    options=None,
    **request,
):
    facts = {"output_tokens": 5000, "options": options or {}, **(card or {})}
    name = model or MODELS[provider]
    wanted = ModelRequest(
        model=ModelCard(name=name, provider=provider, provider_model=name, **facts),
        system=system,
        messages=messages,
        tools=tools,
        options=ModelOptions(**request),
    )
    return (to or providers())[provider].prepare(wanted)


def body(provider, *args, **kwargs):
    return msgspec.json.decode(prepared(provider, *args, **kwargs).body)


def test_an_anthropic_request():
    ready = prepared(
        ANTHROPIC, tools=(CLOCK,), max_tokens=9000, temperature=0.0, tool_choice="clock", user="u"
    )
    assert ready.url == "http://127.0.0.1:1/v1/messages"
    assert ready.hash == hashlib.sha256(ready.body).hexdigest()
    assert ready.body.decode() == (
        '{"model":"claude-haiku-4-5","stream":true,"system":"Be brief.",'
        '"tools":[{"name":"clock","description":"Tells time.",'
        '"input_schema":{"type":"object","properties":{"zone":{"type":"string"}},'
        '"required":["zone"]}}],"messages":['
        '{"role":"user","content":[{"type":"text","text":"what time is it?"}]},'
        '{"role":"assistant","content":[{"type":"text","text":"Let me look."},'
        '{"type":"tool_use","id":"toolu_00001","name":"clock","input":{"zone": "UTC"}},'
        '{"type":"tool_use","id":"toolu_00002","name":"dice","input":{}}]},'
        '{"role":"user","content":['
        '{"type":"tool_result","tool_use_id":"toolu_00001","content":"12:00"},'
        '{"type":"tool_result","tool_use_id":"toolu_00002","content":"broken","is_error":true},'
        '{"type":"text","text":"<developer-instruction>\\nHurry.\\n</developer-instruction>"}]},'
        '{"role":"assistant","content":[{"type":"text","text":"Noon."}]}],'
        '"max_tokens":5000,"temperature":0.0,"tool_choice":{"type":"tool","name":"clock"},'
        '"metadata":{"user_id":"u"},"cache_control":{"type":"ephemeral"}}'
    )


def test_a_google_request():
    ready = prepared(GOOGLE, tools=(CLOCK,), max_tokens=100, temperature=0.5, tool_choice="clock")
    assert ready.url == ("http://127.0.0.1:1/models/gemini-2.5-flash:streamGenerateContent?alt=sse")
    assert ready.body.decode() == (
        '{"systemInstruction":{"parts":[{"text":"Be brief."}]},'
        '"tools":[{"functionDeclarations":[{"name":"clock","description":"Tells time.",'
        '"parametersJsonSchema":{"type":"object","properties":{"zone":{"type":"string"}},'
        '"required":["zone"]}}]}],"contents":['
        '{"role":"user","parts":[{"text":"what time is it?"}]},'
        '{"role":"model","parts":[{"text":"Let me look."},'
        '{"functionCall":{"id":"toolu_00001","name":"clock","args":{"zone": "UTC"}}},'
        '{"functionCall":{"id":"toolu_00002","name":"dice","args":{}}}]},'
        '{"role":"user","parts":['
        '{"functionResponse":{"id":"toolu_00001","name":"clock","response":{"result":"12:00"}}},'
        '{"functionResponse":{"id":"toolu_00002","name":"dice","response":{"error":"broken"}}}]},'
        '{"role":"user","parts":['
        '{"text":"<developer-instruction>\\nHurry.\\n</developer-instruction>"}]},'
        '{"role":"model","parts":[{"text":"Noon."}]}],'
        '"generationConfig":{"maxOutputTokens":100,"temperature":0.5},'
        '"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["clock"]}}}'
    )


@pytest.mark.parametrize(
    ("choice", "anthropic", "google"),
    [
        ("auto", None, None),
        ("any", {"type": "any"}, {"mode": "ANY"}),
        ("required", {"type": "any"}, {"mode": "ANY"}),
        ("none", {"type": "none"}, {"mode": "NONE"}),
    ],
)
def test_the_choice_of_a_tool(choice, anthropic, google):
    wire = body(ANTHROPIC, tools=(CLOCK,), tool_choice=choice)
    assert wire.get("tool_choice") == anthropic
    wire = body(GOOGLE, tools=(CLOCK,), tool_choice=choice)
    assert wire.get("toolConfig", {}).get("functionCallingConfig") == google


@pytest.mark.requirement("agents/providers/system-messages")
@pytest.mark.parametrize(
    ("provider", "key"), [(ANTHROPIC, "system"), (GOOGLE, "systemInstruction")]
)
def test_system_messages_at_the_start_join_the_system_text_and_later_ones_stay(provider, key):
    talk = [message("system", "Summary: x"), *TALK, message("system", "Late.")]
    wire = body(provider, talk)
    assert "Be brief.\\n\\nSummary: x" in msgspec.json.encode(wire[key]).decode()
    assert "Late." not in str(wire[key])
    last = (wire.get("messages") or wire["contents"])[-1]
    assert last["role"] == "user"
    assert "Late." in str(last)


@pytest.mark.requirement("agents/providers/effort")
@pytest.mark.parametrize(
    ("effort", "budget", "level", "tokens", "gemini"),
    [
        (None, None, None, None, None),
        (0, None, "low", 0, "low"),
        (10, 3322, "low", 2458, "low"),
        (50, 12512, "medium", 12288, "medium"),
        (80, 19405, "high", 19661, "high"),
        (100, 24000, "max", 24576, "high"),
    ],
)
def test_thinking_effort(effort, budget, level, tokens, gemini):
    card = {"output_tokens": 64_000}
    wire = body(ANTHROPIC, card=card, thinking_effort=effort, max_tokens=100, temperature=0.2)
    assert wire.get("thinking", {}).get("budget_tokens") == budget
    assert wire["max_tokens"] == (budget + 1024 if budget else 100)
    assert ("temperature" in wire) == (budget is None)
    wire = body(ANTHROPIC, model="claude-opus-5", thinking_effort=effort, temperature=0.2)
    assert wire.get("output_config", {}).get("effort") == level
    assert wire.get("thinking", {}).get("type") == ("adaptive" if effort else None)
    assert "temperature" not in wire
    config = body(GOOGLE, thinking_effort=effort).get("generationConfig", {})
    assert config.get("thinkingConfig", {}).get("thinkingBudget") == tokens
    config = body(GOOGLE, model="gemini-3-pro", thinking_effort=effort).get("generationConfig", {})
    assert config.get("thinkingConfig", {}).get("thinkingLevel") == gemini


def test_thinking_gives_way_to_what_forbids_it():
    wire = body(ANTHROPIC, tools=(CLOCK,), thinking_effort=50, tool_choice="any")
    assert "thinking" not in wire
    wire = body(ANTHROPIC, thinking_effort=50, card={"output_tokens": 4000})
    assert (wire["thinking"]["budget_tokens"], wire["max_tokens"]) == (2976, 4000)
    card = {"capabilities": ("generate",)}
    assert "thinking" not in body(ANTHROPIC, thinking_effort=50, card=card)
    assert "thinkingConfig" not in str(body(GOOGLE, thinking_effort=50, card=card))


def test_an_entry_says_how_its_model_thinks():
    wire = body(ANTHROPIC, thinking_effort=50, options={"thinking": "adaptive"})
    assert wire["output_config"] == {"effort": "medium"}
    wire = body(GOOGLE, thinking_effort=50, options={"thinking": "level"})
    assert wire["generationConfig"]["thinkingConfig"]["thinkingLevel"] == "medium"
    for provider in MODELS:
        with pytest.raises(InputInvalid, match="thinking: yes") as wrong:
            body(provider, thinking_effort=50, options={"thinking": "yes"})
        assert "none" in wrong.value.fix
        assert "thinking" not in str(
            body(provider, thinking_effort=9, options={"thinking": "none"})
        )


def test_headers_have_the_key_the_version_and_the_betas():
    access = ProviderAccess(base_url="http://127.0.0.1:1", api_key=Secret("k"))
    for beta, sent in (("one", "one"), (["one", "two"], "one,two"), (7, None)):
        request = prepared(ANTHROPIC, options={"beta": beta}).request
        headers = dict(AnthropicDialect().headers(request, access))
        assert headers.get("anthropic-beta") == sent
        assert (headers["x-api-key"], headers["anthropic-version"]) == ("k", "2023-06-01")
    request = prepared(ANTHROPIC, model="claude-opus-5-5").request
    assert "binding" in dict(AnthropicDialect().headers(request, access))["anthropic-beta"]


def test_models_that_tie_thinking_to_its_past_are_told_that_the_past_may_change():
    wire = body(ANTHROPIC, model="claude-opus-5-5")
    assert wire["thinking"]["block_binding"] == {"prefix_mismatch_behavior": "drop_block"}
    assert "thinking" not in body(ANTHROPIC, model="claude-opus-5")
    wire = body(ANTHROPIC, model="claude-opus-5-5", options={"binding": False})
    assert "thinking" not in wire


@pytest.mark.requirement("agents/providers/cache-markers")
def test_cache_markers_cache_the_system_text_and_the_first_two_places():
    prompt = Prompt().add_cache_marker().add_system("Known.").add_cache_marker("top")
    prompt.add_user("hi").add_cache_marker().add_cache_marker().add_user("more")
    prompt.messages += TALK[1:4]
    prompt.add_cache_marker().add_assistant("so").add_cache_marker()
    talk = prompt.messages
    wire = body(ANTHROPIC, talk)
    assert wire["system"][0]["cache_control"] == {"type": "ephemeral"}
    marked = [
        (i, j)
        for i, m in enumerate(wire["messages"])
        for j, block in enumerate(m["content"])
        if "cache_control" in block
    ]
    assert marked == [(0, 0), (2, 1)]
    assert [b["text"] for b in wire["messages"][0]["content"]] == ["hi", "more"]
    assert "cache_control" not in wire
    assert "cache_control" in body(ANTHROPIC, tools=(CLOCK,))
    assert "cache_control" not in body(ANTHROPIC, tools=(CLOCK,), options={"cache": False})

    assert "cache" not in str(body(GOOGLE, talk))


def test_ids_of_other_services_are_made_fit_and_stay_apart():
    strange = [f"call{sign}1" for sign in "|.: é"]
    assert len({wire_id(id_) for id_ in strange}) == len(strange)
    for id_ in strange:
        assert wire_id(id_).isascii()
        assert wire_id(id_).replace("-", "").isalnum()
    assert wire_id("toolu_01-A") == "toolu_01-A"


def test_images_and_documents():
    text = base64.b64encode(b"plain words").decode()
    parts = (
        Text("look"),
        Image(url="https://x/y.png"),
        Image(data="AAAA", mime="image/jpeg"),
        Document(data="BBBB", mime="application/pdf"),
        Document(data=text, mime="text/markdown"),
    )
    talk = [Message(role="user", parts=parts)]
    blocks = body(ANTHROPIC, talk)["messages"][0]["content"]
    assert [b["type"] for b in blocks] == ["text", "image", "image", "document", "document"]
    assert blocks[1]["source"] == {"type": "url", "url": "https://x/y.png"}
    assert blocks[2]["source"]["media_type"] == "image/jpeg"
    assert blocks[4]["source"]["data"] == "plain words"
    parts = body(GOOGLE, talk)["contents"][0]["parts"]
    assert [next(iter(p)) for p in parts] == ["text", "fileData", *["inlineData"] * 3]
    assert parts[3]["inlineData"] == {"mimeType": "application/pdf", "data": "BBBB"}


def test_images_of_several_results_follow_them_in_one_turn():
    shots = [
        Message(
            role="tool",
            parts=(Text("shot"), Image(data=data, mime="image/png")),
            tool_call_id=call.id,
            name=call.name,
        )
        for call, data in ((ONE, "AAAA"), (TWO, "BBBB"))
    ]
    talk = [*TALK[:2], *shots]
    for more in ([], [message("assistant", "Seen.")]):
        turns = body(GOOGLE, [*talk, *more])["contents"]
        assert [len(t["parts"]) for t in turns[2:4]] == [2, 2]
        assert [p["inlineData"]["data"] for p in turns[3]["parts"]] == ["AAAA", "BBBB"]
        results = body(ANTHROPIC, [*talk, *more])["messages"][2]["content"]
        assert [r["content"][1]["source"]["data"] for r in results] == ["AAAA", "BBBB"]


def test_a_call_that_no_gemini_made_is_marked_as_unsigned():
    signed = ToolCall(
        id="c_00000001",
        name="clock",
        arguments="{}",
        provider={"google": {"model": "gemini-3-pro", "thoughtSignature": "abc"}},
    )
    talk = [message("user", "x"), Message(role="assistant", tool_calls=(signed, TWO))]

    def signatures(model, talk):
        parts = body(GOOGLE, talk, model=model)["contents"][1]["parts"]
        return [p.get("thoughtSignature") for p in parts]

    assert signatures("gemini-3-pro", talk) == ["abc", None]
    assert signatures("gemini-3-flash", talk) == ["skip_thought_signature_validator", None]
    assert signatures("gemini-2.5-pro", talk) == [None, None]


@pytest.mark.parametrize("provider", MODELS)
def test_thinking_goes_back_at_its_place_and_only_to_its_model(provider):
    key = {ANTHROPIC: "anthropic", GOOGLE: "google"}[provider]
    seals = [{"type": "thinking", "thinking": t, "signature": "s" + t} for t in "ab"]
    layout = [
        {"as_is": seals[0]},
        {"text": 4},
        {"call": ONE.id},
        {"as_is": seals[1]},
        {"text": 3},
        {"call": "gone"},
        {"call": TWO.id},
    ]
    opaque = {key: {"model": MODELS[provider], "layout": layout}}
    said = Message(
        role="assistant", parts=(Text("One.Two"),), tool_calls=(ONE, TWO), metadata=opaque
    )

    def order(said, model=""):
        wire = body(provider, [message("user", "x"), said], model=model)
        items = (wire.get("messages") or wire["contents"])[1]
        blocks = items.get("content") or items["parts"]
        names = {"thinking": "think", "text": "text", "tool_use": "call", "functionCall": "call"}
        return [
            names[b["type"]] + b.get("text", "") if "type" in b else _gemini(b, names)
            for b in blocks
        ]

    assert order(said) == ["think", "textOne.", "call", "think", "textTwo", "call"]
    assert order(said, "another-model") == ["textOne.Two", "call", "call"]
    # A text that is not the reply's own any more: what came first stays first.
    other = msgspec.structs.replace(said, parts=(Text("rewritten"),))
    assert order(other) == ["think", "textrewritten", "call", "call"]


def _gemini(part, names):
    kind = next(iter(part))
    return names[kind] + (part["text"] if kind == "text" else "")


def conversation(number):
    kinds = [
        message("user", f"question {number} é"),
        Message(role="assistant", tool_calls=(ONE,)),
        Message(role="tool", parts=(Image(url=f"http://x/{number}"),), tool_call_id="toolu_00001"),
        message("tool", f"result {number}", tool_call_id="toolu_00001"),
        message("assistant", f"answer {number}"),
        message("system", f"note {number}"),
        message("user", f"kept {number}", metadata={CACHE_MARKER: "x"}),
        message("user", ""),
    ]
    return kinds[number % len(kinds)]


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["grow", "cut", "swap", "system", "tools"]), st.integers(0, 30)),
        max_size=12,
    ),
    provider=st.sampled_from(list(MODELS)),
)
def test_reused_parts_give_the_bytes_that_a_fresh_provider_gives(steps, provider):
    kept = providers()
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
        reused = prepared(provider, talk, system=system, tools=tools, to=kept)
        fresh = prepared(provider, talk, system=system, tools=tools)
        assert reused.body == fresh.body
        assert reused.hash == hashlib.sha256(reused.body).hexdigest()
        msgspec.json.decode(reused.body)
