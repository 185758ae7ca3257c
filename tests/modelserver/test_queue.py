"""One model, several clients: order, fairness, kept prefixes, and clients that leave."""

import asyncio

import pytest

from tests.modelserver.fake import FakeEngine


async def until(served, **expected):
    """Wait until the server's health says so; the test's own timeout bounds it."""
    while {k: v for k, v in (await served.health()).items() if k in expected} != expected:
        await asyncio.sleep(0)


def prompts_of(engine):
    """The last word of each prompt that was computed, in the order in which they ended."""
    return [engine.decode(r.prompt).split("user\n")[-1].split("assistant")[0] for r in engine.ended]


@pytest.mark.requirement("004/model-server/cancel")
def test_a_client_that_leaves_frees_its_place_within_one_token(play):
    async def scenario(served):
        engine = served.engine
        engine.gate.release(3)
        stream = await served.say("first", stream=True)
        shown = 0
        async for chunk in stream:
            shown += bool(chunk.choices and chunk.choices[0].delta.content)
            if shown == 3:
                break
        second = asyncio.create_task(served.say("second", max_tokens=2))
        await until(served, serving=1, waiting=1)
        await stream.close()
        # The engine stands before the fourth token, and nothing tells it but the client's leaving.
        await until(served, leaving=1)
        engine.gate.release(1)
        await until(served, waiting=0, leaving=0)
        [first] = engine.ended
        assert len(first.written) == 4
        engine.gate.release(2)
        assert (await second).choices[0].message.content == "xx"

    play(FakeEngine("x" * 100, gated=True), scenario, at_once=1)


def test_one_that_leaves_while_it_waits_is_never_computed(play):
    async def scenario(served):
        engine = served.engine
        first = asyncio.create_task(served.say("first", max_tokens=2))
        await until(served, serving=1)
        second = asyncio.create_task(served.say("second"))
        await until(served, waiting=1)
        second.cancel()
        await until(served, leaving=1)
        engine.gate.release(4)
        await first
        await served.say("third", max_tokens=2)
        assert prompts_of(engine) == ["first", "third"]

    play(FakeEngine("x" * 100, gated=True), scenario, at_once=1)


@pytest.mark.requirement("004/model-server/fair")
def test_several_at_once_get_their_tokens_in_turns(play):
    """A long prompt and a long reply hold nobody up."""

    async def scenario(served):
        engine = served.engine
        asked = [
            asyncio.create_task(served.say(text, max_tokens=tokens))
            for text, tokens in (("long " * 300, 400), ("b", 200), ("c", 100))
        ]
        while (await served.health())["serving"] < 3:
            engine.gate.release(1)
        engine.gate.release(1000)
        replies = await asyncio.gather(*asked)
        assert [r.usage.completion_tokens for r in replies] == [400, 200, 100]
        assert [len(run.written) for run in engine.ended] == [100, 200, 400]
        assert max(engine.batches) == 3

    play(FakeEngine("x" * 1000, gated=True), scenario)


def test_a_queue_that_is_full_says_so_and_those_in_it_are_served_in_order(play):
    async def scenario(served):
        asked = []
        for n, text in enumerate(("a", "b", "c")):
            asked.append(asyncio.create_task(served.say(text, max_tokens=1)))
            await until(served, serving=1, waiting=n)
        with pytest.raises(served.sdk.RateLimitError, match="2 requests are waiting") as refused:
            await served.say("d")
        assert refused.value.response.headers["Retry-After"] == "1"
        served.engine.gate.release(3)
        await asyncio.gather(*asked)
        assert prompts_of(served.engine) == ["a", "b", "c"]

    play(FakeEngine("x", gated=True), scenario, at_once=1, waiting=2)


@pytest.mark.requirement("004/model-server/prefix")
def test_a_conversation_that_goes_on_is_computed_from_where_it_was(play):
    async def scenario(served):
        engine, messages = served.engine, []
        for n in range(20):
            messages.append({"role": "user", "content": f"turn {n} {'about ' * 5}"})
            reply = await served.say(*messages)
            messages.append({"role": "assistant", "content": reply.choices[0].message.content})
            used = reply.usage
            assert engine.computed[-1] == (
                used.prompt_tokens - used.prompt_tokens_details.cached_tokens
            )
        assert used.prompt_tokens > 1000
        # The end of the last reply, the question, and the opening of the reply.
        assert engine.computed[-1] < 80

    play(FakeEngine("an answer"), scenario)


def test_another_conversation_shares_the_system_prompt_and_takes_nothing_away(play):
    async def scenario(served):
        engine = served.engine
        system = {"role": "system", "content": "be brief " * 50}
        first = [system, {"role": "user", "content": "one " * 60}]
        said = (await served.say(*first)).choices[0].message.content
        await served.say(system, "two " * 60)
        assert engine.computed[1] < 280
        await served.say(*first, {"role": "assistant", "content": said}, "more")
        assert engine.computed[2] < 40

    play(FakeEngine("an answer"), scenario)


def test_a_model_that_fails_fails_the_request_and_serves_the_next(play):
    async def scenario(served):
        served.engine.fails = True
        with pytest.raises(served.sdk.InternalServerError, match="MemoryError: no memory left"):
            await served.say("hi")
        with pytest.raises(served.sdk.InternalServerError):
            await served.say("hi", stream=True)
        served.engine.fails = False
        assert (await served.say("hi")).choices[0].message.content == "fine"
        await until(served, serving=0, waiting=0)

    play(FakeEngine("fine"), scenario)
