"""Retries, waits and continuation, with a scripted model and a clock that tests move."""

import asyncio

import pytest

from micro_agi.errors import EntryInvalid, ProviderRefused, ProviderUnavailable
from micro_agi.llm.failure import error_type, provider_error
from micro_agi.llm.gateway import MOST_PIECES, Gateway
from micro_agi.llm.request import ModelRequest
from micro_agi.messages import TextDelta, Usage, Warned, message
from micro_agi.net.client import Client
from micro_agi.testing.clock import FakeClock
from micro_agi.testing.scripted import (
    Broken,
    Call,
    Finish,
    ScriptedModel,
    Spent,
    Thinking,
    scripted_card,
)


def request(text="hello", **card):
    return ModelRequest(model=scripted_card(**card), system="s", messages=[message("user", text)])


def run(model, *requests, retries=3, random=lambda: 0.0):
    """Ask one after the other, with every wait skipped; returns replies, events and the clock."""
    clock = FakeClock()
    events = []

    async def main():
        gateway = Gateway(
            Client(offline=True),
            {"scripted": model},
            retries=retries,
            sleep=clock.sleep,
            random=random,
        )
        asking = asyncio.create_task(ask(gateway))
        while not asking.done():
            moving = asyncio.create_task(move())
            await asyncio.wait({asking, moving}, return_when=asyncio.FIRST_COMPLETED)
            moving.cancel()
        return await asking

    async def ask(gateway):
        return [await gateway.generate(r, events.append) for r in requests]

    async def move():
        await clock.advance(await clock.until_sleeping())

    return asyncio.run(asyncio.wait_for(main(), 5)), events, clock


def test_a_script_is_streamed_and_remembered():
    model = ScriptedModel(
        [
            ["Hel", "lo"],
            [Thinking("hm"), Call("f", {"b": 1, "a": 2}), Call("f", "{broken", id="mine")],
            lambda asked: f"{asked.number}: {asked.last.text}",
        ]
    )
    replies, events, _ = run(model, request(), request(), request("bye"))
    assert [e.text for e in events if isinstance(e, TextDelta)] == ["Hel", "lo", "2: bye"]
    assert replies[0].text == "Hello"
    first, second = replies[1].tool_calls
    assert (first.arguments, second.id, second.arguments) == ('{"a":2,"b":1}', "mine", "{broken")
    assert replies[1].finish_reason == "tool_call"
    assert [r.messages[0].text for r in model.requests] == ["hello", "hello", "bye"]


def test_a_script_may_be_one_function_and_may_wait():
    async def answer(asked):
        await asyncio.sleep(0)

        async def pieces():
            yield "slow"
            yield Finish("length")
            yield Spent(Usage(prompt=1, completion=2))

        return pieces()

    replies, _, _ = run(ScriptedModel(answer), request())
    assert (replies[0].text, replies[0].finish_reason) == ("slow", "length")
    assert replies[0].usage == Usage(prompt=1, completion=2)


def test_a_script_that_is_over_refuses():
    with pytest.raises(ProviderRefused, match="1 replies and was asked once more"):
        run(ScriptedModel(["only"]), request(), request())


def test_the_same_request_has_the_same_hash_and_call_ids():
    replies = [run(ScriptedModel([Call("f")]), request())[0][0] for _ in range(2)]
    other = run(ScriptedModel([Call("f")]), request("other"))[0][0]
    assert replies[0].request_hash == replies[1].request_hash != other.request_hash
    assert replies[0].tool_calls[0].id == replies[1].tool_calls[0].id != other.tool_calls[0].id


def test_waits_grow_and_are_shown():
    down = provider_error("server_error", "down")
    replies, events, clock = run(ScriptedModel([down, down, down, "up"]), request())
    assert replies[0].text == "up"
    assert clock.slept == [0.25, 0.5, 1.0]
    assert clock.monotonic() == 1.75
    texts = [e.text for e in events if isinstance(e, Warned)]
    assert texts[0] == "down; trying again in 0.2 s (1 of 3)"
    assert replies[0].metadata["attempts"] == 4


def test_half_of_every_wait_is_random():
    down = provider_error("server_error", "down")
    _, _, clock = run(ScriptedModel([down, "up"]), request(), random=lambda: 1.0)
    assert clock.slept == [0.5]


def test_after_the_last_try_the_error_is_the_services():
    down = [provider_error("timeout_error", f"down {n}") for n in range(3)]
    with pytest.raises(ProviderUnavailable, match="down 2") as last:
        run(ScriptedModel(down), request(), retries=2)
    assert error_type(last.value) == "timeout_error"


def test_text_that_was_shown_is_not_shown_again():
    model = ScriptedModel([["One, ", "two", Broken()], [", three", Broken()], ", four."])
    replies, events, _ = run(model, request())
    assert replies[0].text == "One, two, three, four."
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == replies[0].text
    roles = [m.role for m in model.requests[2].messages]
    assert roles == ["user", "assistant", "user"]
    assert model.requests[2].messages[1].text == "One, two, three"


def test_a_service_that_never_gets_further_than_a_word_is_given_up():
    model = ScriptedModel(lambda _: ["word ", Broken()])
    with pytest.raises(ProviderUnavailable):
        run(model, request())
    assert len(model.requests) == MOST_PIECES + 3


def test_without_retries_a_break_is_final():
    with pytest.raises(ProviderUnavailable):
        run(ScriptedModel([["One, ", Broken()], "two."]), request(), retries=0)


def test_calls_before_a_break_are_forgotten():
    model = ScriptedModel([[Call("f"), Broken()], "no call"])
    replies, _, _ = run(model, request())
    assert (replies[0].text, replies[0].tool_calls) == ("no call", ())


def test_the_first_request_is_the_one_whose_hash_is_kept():
    model = ScriptedModel([["One, ", Broken()], "two."])
    plain, _, _ = run(ScriptedModel(["x"]), request())
    broken, _, _ = run(model, request())
    assert broken[0].request_hash == plain[0].request_hash


def test_a_model_without_a_provider_names_those_there_are():
    with pytest.raises(EntryInvalid) as wrong:
        run(ScriptedModel(["x"]), request(provider="script"))
    assert "scripted" in wrong.value.fix


def test_the_message_of_a_reply_goes_back_into_the_conversation():
    replies, _, _ = run(ScriptedModel([["Hi", Call("f", id="c1")]]), request())
    back = replies[0].message
    assert (back.role, back.text, back.tool_calls[0].id) == ("assistant", "Hi", "c1")
