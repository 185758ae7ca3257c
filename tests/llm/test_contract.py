"""What every model provider promises, over both dialects, against a server that misbehaves."""

import asyncio
import hashlib

import pytest

from micro_agi.errors import PolicyDenied, ProviderRefused, ProviderUnavailable
from micro_agi.llm.catalogue import ModelCard, Pricing
from micro_agi.llm.failure import error_type
from micro_agi.llm.gateway import CONTINUE_NOTE, Gateway
from micro_agi.llm.providers.table import OPENAI, OPENAI_COMPATIBLE, build_providers
from micro_agi.llm.request import ModelOptions, ModelRequest, ProviderAccess
from micro_agi.messages import (
    TextDelta,
    ThinkingDelta,
    ToolSpec,
    Usage,
    Warned,
    message,
)
from micro_agi.net.client import Client
from micro_agi.testing.clock import FakeClock
from micro_agi.testing.model_server import Fault, Reply, ScriptedServer
from micro_agi.testing.scripted import Call
from micro_agi.values import Secret

TOOLS = (ToolSpec(id="app:clock", name="clock", description="Tells time.", schema={}),)
SPENT = {"prompt": 100, "cached": 60, "completion": 20, "thinking": 5}


@pytest.fixture(params=["chat", "responses"])
def card(request):
    return ModelCard(
        name="m",
        provider=OPENAI_COMPATIBLE,
        provider_model="served-m",
        pricing=Pricing(input=1.0, output=10.0, cached_input=0.1),
        options={"api": request.param},
    )


class Asked:
    """What one conversation with a scripted server gave."""

    def __init__(self, script, card, *, key="", server_key="", timeout_s=5.0, times=1):
        self.events = []
        self.clock = FakeClock()
        self.replies = []
        self.error = None
        self.server = ScriptedServer(script, key=server_key)
        asyncio.run(asyncio.wait_for(self._run(card, key, timeout_s, times), 20))

    async def _run(self, card, key, timeout_s, times):
        client = Client(offline=True)
        async with self.server:
            access = ProviderAccess(base_url=self.server.base_url + "/", api_key=Secret(key))
            gateway = Gateway(
                client,
                build_providers({OPENAI_COMPATIBLE: access}),
                sleep=self._sleep,
                random=lambda: 1.0,
            )
            wanted = ModelRequest(
                model=card,
                system="Be brief.",
                messages=[message("user", "hello")],
                tools=TOOLS,
                options=ModelOptions(timeout_s=timeout_s),
            )
            try:
                for _ in range(times):
                    self.replies.append(await gateway.generate(wanted, self.events.append))
            except (ProviderRefused, ProviderUnavailable) as error:
                self.error = error
            finally:
                await client.close()

    async def _sleep(self, seconds):
        self.clock.slept.append(seconds)

    @property
    def reply(self):
        assert self.error is None, self.error
        return self.replies[-1]

    @property
    def shown(self):
        return "".join(e.text for e in self.events if isinstance(e, TextDelta))

    @property
    def warnings(self):
        return [e for e in self.events if isinstance(e, Warned)]


@pytest.mark.parametrize("whole", [False, True])
def test_text_thinking_calls_usage_and_cost_arrive(card, whole):
    said = Reply(
        text=("Let me ", "look: é🙂"),
        thinking="hm",
        calls=(Call("clock", {"zone": "UTC"}, id="call_abc123"), Call("clock", {})),
        usage=SPENT,
        whole=whole,
    )
    asked = Asked([said], card)
    reply = asked.reply
    assert (reply.text, reply.thinking) == ("Let me look: é🙂", "hm")
    assert asked.shown == reply.text
    assert [e.text for e in asked.events if isinstance(e, ThinkingDelta)] == ["hm"]
    first, second = reply.tool_calls
    assert (first.id, first.name, first.arguments) == ("call_abc123", "clock", '{"zone":"UTC"}')
    assert second.arguments == "{}"
    assert reply.finish_reason == "tool_call"
    assert reply.usage == Usage(prompt=40, cached=60, completion=20, thinking=5)
    assert reply.cost_usd == pytest.approx((40 + 60 * 0.1 + 20 * 10) / 1e6)
    assert (reply.model, asked.server.received[0].body["model"]) == ("m", "served-m")


def test_the_hash_is_that_of_the_bytes_the_server_got(card):
    asked = Asked([Reply(text="hi")], card)
    assert asked.reply.request_hash == hashlib.sha256(asked.server.received[0].raw).hexdigest()


def test_connections_are_used_again(card):
    asked = Asked([Reply(text="hi")] * 5, card, times=5)
    assert len(asked.replies) == 5
    assert len(asked.server.connections) == 1


def test_malformed_arguments_come_through_as_the_model_wrote_them(card):
    asked = Asked([Reply(calls=(Call("clock", '{"zone": UTC'),))], card)
    assert asked.reply.tool_calls[0].arguments == '{"zone": UTC'


def test_a_reply_cut_by_its_length_says_so_even_with_calls(card):
    asked = Asked([Reply(text="And so", calls=(Call("clock", {}),), finish="length")], card)
    assert asked.reply.finish_reason == "length"


def test_a_filtered_reply_says_so(card):
    assert Asked([Reply(text="", finish="content_filter")], card).reply.finish_reason == "filtered"


def test_without_usage_it_is_estimated_and_marked(card):
    asked = Asked([Reply(text="hello there", usage=None)], card)
    assert asked.reply.usage.prompt > 10
    assert asked.reply.usage.completion > 0
    assert asked.reply.metadata["estimated_usage"] is True


def test_a_slow_first_byte_is_waited_for_within_the_timeout(card):
    assert Asked([Reply(text="late", delay_s=0.05)], card).reply.text == "late"


def test_a_server_that_stays_silent_is_a_timeout(card):
    asked = Asked([Reply(text="late", delay_s=5.0)] * 4, card, timeout_s=0.1)
    assert error_type(asked.error) == "timeout_error"
    assert len(asked.server.received) == 4


def test_a_wrong_key_is_refused_at_once(card):
    asked = Asked([Reply(text="x")], card, key="wrong", server_key="right")
    assert isinstance(asked.error, ProviderRefused)
    assert error_type(asked.error) == "authentication_error"
    assert "401" in asked.error.where
    assert len(asked.server.received) == 1
    assert "wrong" not in str(asked.error)


def test_the_right_key_is_sent(card):
    assert Asked([Reply(text="x")], card, key="right", server_key="right").reply.text == "x"


def test_a_rate_limit_waits_as_long_as_it_says(card):
    limit = Fault(status=429, retry_after="7", message="slow down: maximum 3 tokens")
    asked = Asked([limit, Reply(text="ok")], card)
    assert asked.reply.text == "ok"
    assert asked.clock.slept == [7.0]
    assert "slow down" in asked.warnings[0].text
    assert "7.0 s (1 of 3)" in asked.warnings[0].text


def test_a_wait_that_is_too_long_is_left_to_the_person(card):
    asked = Asked([Fault(status=429, retry_after="3600")], card)
    assert isinstance(asked.error, ProviderUnavailable)
    assert asked.clock.slept == []


def test_no_credit_is_not_waited_for(card):
    asked = Asked([Fault(status=429, code="insufficient_quota")], card)
    assert isinstance(asked.error, ProviderRefused)
    assert len(asked.server.received) == 1


def test_a_failing_server_is_asked_four_times_with_growing_waits(card):
    asked = Asked([Fault(status=503)] * 4, card)
    assert isinstance(asked.error, ProviderUnavailable)
    assert error_type(asked.error) == "server_error"
    assert asked.clock.slept == [0.5, 1.0, 2.0]
    assert len({r.raw for r in asked.server.received}) == 1


@pytest.mark.parametrize(
    ("fault", "type_"),
    [
        (Fault(status=400, message="This model's maximum context length is 10"), "context_length"),
        (Fault(status=400, code="context_length_exceeded"), "context_length"),
        (Fault(status=400, type="exceed_context_size_error", message="too big"), "context_length"),
        (Fault(status=500, message="the request exceeds the context size"), "context_length"),
        (Fault(status=400, code="content_policy_violation"), "content_filtered"),
        (Fault(status=404, code="model_not_found"), "model_error"),
        (Fault(status=422), "invalid_request"),
        (Fault(kind="not_json", status=418), "server_error"),
    ],
)
def test_refusals_are_typed(card, fault, type_):
    asked = Asked([fault] * 4, card)
    assert error_type(asked.error).startswith(type_)


def test_a_stream_cut_before_any_text_is_asked_again(card):
    asked = Asked([Fault(kind="cut", after=1), Reply(text="whole")], card)
    assert asked.reply.text == asked.shown == "whole"
    bodies = [r.raw for r in asked.server.received]
    assert bodies[0] == bodies[1]


def test_a_stream_cut_after_text_goes_on_from_there(card):
    cut = Fault(kind="cut", after=4, reply=Reply(text=("Half of ", "the ", "answer", ".")))
    asked = Asked([cut, Reply(text="rest.")], card)
    assert asked.shown == asked.reply.text
    assert asked.reply.text.startswith("Half of ")
    assert asked.reply.text.endswith("rest.")
    assert "going on from there" in asked.warnings[0].text
    again = asked.server.received[1].raw.decode()
    assert CONTINUE_NOTE in again
    assert "Half of " in again


def test_a_stream_cut_inside_a_tool_call_gives_no_half_call(card):
    half = Fault(kind="half_call", reply=Reply(calls=(Call("clock", {"zone": "Europe/Berlin"}),)))
    asked = Asked([half] * 4, card)
    assert isinstance(asked.error, ProviderUnavailable)
    assert error_type(asked.error) == "network_error"
    assert asked.replies == []


def test_an_error_inside_the_stream_is_an_error(card):
    overloaded = Fault(kind="in_band", after=1, code="server_error", message="overloaded")
    asked = Asked([overloaded, Reply(text="ok")], card)
    assert asked.reply.text == "ok"
    assert "overloaded" in asked.warnings[0].text
    refused = Fault(kind="in_band", after=1, code="context_length_exceeded", message="too long")
    assert error_type(Asked([refused], card).error) == "context_length_exceeded"


def test_nobody_listening_is_unavailable(card):
    async def main():
        client = Client(offline=True)
        access = ProviderAccess(base_url="http://127.0.0.1:1/v1")
        gateway = Gateway(client, build_providers({OPENAI_COMPATIBLE: access}), retries=0)
        wanted = ModelRequest(model=card, system="", messages=[message("user", "x")])
        try:
            await gateway.generate(wanted, print)
        finally:
            await client.close()

    with pytest.raises(ProviderUnavailable) as unavailable:
        asyncio.run(main())
    assert error_type(unavailable.value) == "network_error"


def test_openai_itself_wants_a_key_and_the_network(card):
    async def main(key):
        client = Client(offline=True)
        access = ProviderAccess(base_url="https://api.openai.com/v1", api_key=Secret(key))
        gateway = Gateway(client, build_providers({OPENAI: access}))
        openai = ModelCard(name="m", provider=OPENAI, provider_model="m", options=card.options)
        wanted = ModelRequest(model=openai, system="", messages=[message("user", "x")])
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
