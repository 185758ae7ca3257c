"""What every model provider does when its service misbehaves."""

import asyncio

import pytest

from micro_agi.errors import PolicyDenied, ProviderRefused, ProviderUnavailable
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.failure import error_type
from micro_agi.llm.gateway import CONTINUE_NOTE, Gateway
from micro_agi.llm.providers.table import (
    OPENAI_COMPATIBLE,
    PROVIDERS,
    build_providers,
)
from micro_agi.llm.request import ModelRequest, ProviderAccess
from micro_agi.messages import (
    message,
)
from micro_agi.net.client import Client
from micro_agi.testing.model_server import Fault, Reply, ScriptedServer
from micro_agi.testing.scripted import Call
from micro_agi.values import Secret
from tests.llm.asked import KINDS, TOOLS, Asked


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def test_a_slow_first_byte_is_waited_for_within_the_timeout(kind):
    assert Asked([Reply(text="late", delay_s=0.05)], kind).reply.text == "late"


def test_a_server_that_stays_silent_is_a_timeout(kind):
    asked = Asked([Reply(text="late", delay_s=5.0)] * 4, kind, timeout_s=0.1)
    assert error_type(asked.error) == "timeout_error"
    assert len(asked.warnings) == 3  # a request may time out before it arrives


def test_a_wrong_key_is_refused_at_once(kind):
    asked = Asked([Reply(text="x")], kind, key="wrong", server_key="right")
    assert isinstance(asked.error, ProviderRefused)
    assert error_type(asked.error) == "authentication_error"
    assert "401" in asked.error.where
    assert len(asked.server.received) == 1
    assert "wrong" not in str(asked.error)


def test_the_right_key_is_sent(kind):
    assert Asked([Reply(text="x")], kind, key="right", server_key="right").reply.text == "x"


def test_a_rate_limit_waits_as_long_as_it_says(kind):
    limit = Fault(status=429, retry_after="7", message="slow down: maximum 3 tokens")
    asked = Asked([limit, Reply(text="ok")], kind)
    assert asked.reply.text == "ok"
    assert asked.clock.slept == [7.0]
    assert "slow down" in asked.warnings[0].text
    assert "7.0 s (1 of 3)" in asked.warnings[0].text


def test_a_wait_that_is_too_long_is_left_to_the_person(kind):
    asked = Asked([Fault(status=429, retry_after="3600")], kind)
    assert isinstance(asked.error, ProviderUnavailable)
    assert asked.clock.slept == []


@pytest.mark.parametrize(
    ("wires", "fault"),
    [
        (("chat", "responses"), Fault(status=429, code="insufficient_quota")),
        (("anthropic",), Fault(status=400, message="Your credit balance is too low to …")),
        (("google",), Fault(status=429, code="GenerateRequestsPerDayPerProject")),
    ],
)
def test_no_credit_is_not_waited_for(wires, fault):
    for kind in KINDS.values():
        if kind.wire in wires:
            asked = Asked([fault], kind)
            assert isinstance(asked.error, ProviderRefused)
            assert "add credit" in asked.error.fix
            assert len(asked.server.received) == 1


def test_a_failing_server_is_asked_four_times_with_growing_waits(kind):
    asked = Asked([Fault(status=503)] * 4, kind)
    assert isinstance(asked.error, ProviderUnavailable)
    assert error_type(asked.error) == "server_error"
    assert asked.clock.slept == [0.5, 1.0, 2.0]
    assert len({r.raw for r in asked.server.received}) == 1


TYPED = {
    "authentication_error": (Fault(status=401), Fault(status=403)),
    "model_error": (Fault(status=404),),
    "invalid_request": (Fault(status=400, message="no such field"), Fault(status=422)),
    "context_length_exceeded": (
        Fault(status=400, message="This model's maximum context length is 10 tokens"),
        Fault(status=400, message="prompt is too long: 9 tokens > 8 maximum"),
        Fault(status=413),
    ),
    "rate_limit_exceeded": (Fault(status=429, message="maximum 3 tokens a minute"),),
    "server_error": (Fault(status=500), Fault(status=529), Fault(kind="not_json", status=418)),
    "timeout_error": (Fault(status=408),),
}


@pytest.mark.parametrize("type_", TYPED)
@pytest.mark.requirement("agents/providers/errors")
def test_refusals_are_typed(kind, type_):
    for fault in TYPED[type_]:
        if fault.status in (408, 413) and kind.wire == "anthropic":
            continue  # has a word of its own for them
        asked = Asked([fault] * 4, kind)
        assert error_type(asked.error) == type_
        tries = 1 if isinstance(asked.error, ProviderRefused) else 4
        assert len(asked.server.received) == tries
        assert asked.error.fix


@pytest.mark.parametrize(
    ("name", "fault", "type_"),
    [
        (
            "compatible",
            Fault(status=400, code="context_length_exceeded"),
            "context_length_exceeded",
        ),
        (
            "compatible",
            Fault(status=400, type="exceed_context_size_error"),
            "context_length_exceeded",
        ),
        (
            "compatible",
            Fault(status=500, message="exceeds the context size"),
            "context_length_exceeded",
        ),
        ("compatible", Fault(status=400, code="content_policy_violation"), "content_filtered"),
        ("anthropic", Fault(status=413, type="request_too_large"), "context_length_exceeded"),
        ("anthropic", Fault(status=529, type="overloaded_error"), "server_error"),
        ("anthropic", Fault(status=504, type="timeout_error"), "timeout_error"),
        ("anthropic", Fault(status=403, type="permission_error"), "authentication_error"),
        ("google", Fault(status=400, code="API_KEY_INVALID"), "authentication_error"),
        ("google", Fault(status=504, type="DEADLINE_EXCEEDED"), "timeout_error"),
        (
            "google",
            Fault(
                status=400,
                message="The input token count (9) exceeds the maximum number of tokens (8).",
            ),
            "context_length_exceeded",
        ),
    ],
)
def test_words_of_one_service_are_typed(name, fault, type_):
    assert error_type(Asked([fault] * 4, KINDS[name]).error) == type_


def test_a_model_that_checks_its_past_and_is_not_known_for_it_says_what_to_set():
    said = "The block is bound to a different conversation. Set … prefix_mismatch_behavior"
    error = Asked([Fault(status=400, message=said)], KINDS["anthropic"]).error
    assert (error_type(error), "options.binding: true" in error.fix) == ("invalid_request", True)


def test_a_refused_key_says_which_variable_holds_it(kind):
    keys = {"anthropic": "ANTHROPIC_API_KEY", "google": "GEMINI_API_KEY"}
    fix = Asked([Fault(status=401)], kind).error.fix
    assert fix.startswith(f"set {keys.get(kind.wire, 'OPENAI_API_KEY')}")


def test_a_stream_cut_before_any_text_is_asked_again(kind):
    asked = Asked([Fault(kind="cut", after=1), Reply(text="whole")], kind)
    assert asked.reply.text == asked.shown == "whole"
    bodies = [r.raw for r in asked.server.received]
    assert bodies[0] == bodies[1]


def test_a_stream_cut_after_text_goes_on_from_there(kind):
    cut = Fault(kind="cut", after=4, reply=Reply(text=("Half of ", "the ", "answer", ".")))
    asked = Asked([cut, Reply(text="rest.")], kind)
    assert asked.shown == asked.reply.text
    assert asked.reply.text.startswith("Half of ")
    assert asked.reply.text.endswith("rest.")
    assert "going on from there" in asked.warnings[0].text
    again = asked.server.received[1].raw.decode()
    assert CONTINUE_NOTE in again
    assert "Half of " in again


FEW_WORDS = Fault(kind="cut", after=5, reply=Reply(text=("a ", "few ", "words ", "more ", ".")))


@pytest.mark.requirement("agents/providers/cut-streams")
def test_a_stream_that_is_cut_again_and_again_and_gets_further_comes_to_its_end(kind):
    asked = Asked([*[FEW_WORDS] * 7, Reply(text="the end.")], kind)
    assert asked.reply.text == asked.shown
    assert asked.shown.count("a few ") == 7
    assert asked.shown.endswith("the end.")
    assert {w.text[-8:] for w in asked.warnings} == {"(1 of 3)"}
    assert set(asked.clock.slept) == {0.5}
    # What every piece took was paid, and what it said is counted.
    assert asked.reply.usage.completion > 7 * 2
    assert asked.reply.cost_usd > (11 + 10 * asked.reply.usage.completion) / 1e6


@pytest.mark.requirement("agents/providers/cut-streams")
def test_a_stream_that_is_cut_for_good_gives_what_was_shown_marked_as_cut(kind):
    asked = Asked([FEW_WORDS, *[Fault(status=503)] * 3], kind, keep_cut=True)
    reply = asked.reply
    assert (reply.finish_reason, reply.text) == ("cut", asked.shown)
    assert reply.text.startswith("a few ")
    assert (reply.problem["what"], reply.problem["retryable"]) == ("the server has a problem", True)
    assert asked.clock.slept == [0.5, 1.0, 2.0]
    assert reply.usage.prompt > 0
    assert reply.metadata["estimated_usage"] is True
    whole = Asked([FEW_WORDS, *[Fault(status=503)] * 3], kind)
    assert isinstance(whole.error, ProviderUnavailable)


@pytest.mark.requirement("agents/providers/cut-streams")
def test_a_stream_cut_for_good_inside_a_tool_call_gives_the_text_before_it_and_no_call(kind):
    calls = (Call("dice", {"n": 2}), Call("clock", {"zone": "Europe/Berlin"}))
    half = Fault(kind="half_call", reply=Reply(text="Let me look.", calls=calls[1:]))
    asked = Asked(
        [half, *[Fault(kind="half_call", reply=Reply(calls=calls))] * 3], kind, keep_cut=True
    )
    assert (asked.reply.finish_reason, asked.reply.text) == ("cut", "Let me look.")
    assert asked.reply.tool_calls == ()


def test_a_service_that_refuses_to_go_on_leaves_what_was_shown(kind):
    asked = Asked([FEW_WORDS, Fault(status=401, message="expired")], kind, keep_cut=True)
    assert (asked.reply.finish_reason, asked.reply.text) == ("cut", asked.shown)
    assert (asked.reply.problem["what"], asked.reply.problem["retryable"]) == ("expired", False)


def test_with_nothing_shown_there_is_no_reply_to_keep(kind):
    blank = Fault(kind="cut", after=3, reply=Reply(text=("\n", "\n", "x")))
    assert Asked([blank] * 4, kind, keep_cut=True).error is not None


def test_a_stream_cut_inside_a_tool_call_gives_no_half_call(kind):
    half = Fault(kind="half_call", reply=Reply(calls=(Call("clock", {"zone": "Europe/Berlin"}),)))
    asked = Asked([half] * 4, kind)
    assert isinstance(asked.error, ProviderUnavailable)
    assert error_type(asked.error) == "network_error"
    assert asked.replies == []


def test_an_error_inside_the_stream_is_an_error(kind):
    # Anthropic's word for it is `overloaded_error`.
    word = {"anthropic": "overloaded_error", "google": "UNAVAILABLE"}.get(kind.wire, "server_error")
    overloaded = Fault(kind="in_band", after=1, type=word, message="overloaded")
    asked = Asked([overloaded, Reply(text="ok")], kind)
    assert asked.reply.text == "ok"
    assert "overloaded" in asked.warnings[0].text
    refused = Fault(kind="in_band", after=1, status=400, message="the prompt is too long")
    assert error_type(Asked([refused], kind).error) == "context_length_exceeded"


def test_nobody_listening_is_unavailable(kind):
    async def main():
        client = Client(offline=True)
        access = ProviderAccess(base_url="http://127.0.0.1:1/v1", api_key=Secret("k"))
        gateway = Gateway(client, kind.build(access), retries=0)
        wanted = ModelRequest(model=kind.card, system="", messages=[message("user", "x")])
        try:
            await gateway.generate(wanted, print)
        finally:
            await client.close()

    with pytest.raises(ProviderUnavailable) as unavailable:
        asyncio.run(main())
    assert error_type(unavailable.value) == "network_error"


@pytest.mark.parametrize("name", [n for n in KINDS if n != "compatible"])
def test_a_service_itself_wants_a_key_and_the_network(name):
    async def main(key):
        client = Client(offline=True)
        kind = KINDS[name]
        access = ProviderAccess(base_url=PROVIDERS[kind.provider].url, api_key=Secret(key))
        gateway = Gateway(client, build_providers({kind.provider: access}))
        wanted = ModelRequest(model=kind.card, system="", messages=[message("user", "x")])
        try:
            await gateway.generate(wanted, print)
        finally:
            await client.close()

    with pytest.raises(ProviderRefused, match="key is required"):
        asyncio.run(main(""))
    with pytest.raises(PolicyDenied, match="not on this machine"):
        asyncio.run(main("k"))


def test_encrypted_reasoning_goes_back_to_the_model_it_came_from():
    def card_of(model):
        options = {"api": "responses", "reasoning_model_request": True}
        return ModelCard(
            name=model, provider=OPENAI_COMPATIBLE, provider_model=model, options=options
        )

    async def main():
        client = Client(offline=True)
        said = Reply(thinking="secret plan", calls=(Call("clock", {}),))
        async with ScriptedServer([said, Reply(text="a"), Reply(text="b")]) as server:
            access = ProviderAccess(base_url=server.base_url)
            gateway = Gateway(client, build_providers({OPENAI_COMPATIBLE: access}))
            talk = [message("user", "hello")]
            wanted = ModelRequest(model=card_of("one"), system="", messages=talk, tools=TOOLS)
            reply = await gateway.generate(wanted, lambda _: None)
            call = reply.tool_calls[0]
            talk += [reply.message, message("tool", "12:00", tool_call_id=call.id, name="clock")]
            await gateway.generate(wanted, lambda _: None)
            other = ModelRequest(model=card_of("two"), system="", messages=talk, tools=TOOLS)
            await gateway.generate(other, lambda _: None)
        await client.close()
        return [[item["type"] for item in r.body["input"]] for r in server.received]

    first, same, other = asyncio.run(main())
    assert first == ["message"]
    assert same == ["message", "reasoning", "function_call", "function_call_output"]
    assert "reasoning" not in other
