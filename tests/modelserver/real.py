"""The real engine with a real model, however small: made here, trained, saved, loaded, served.

Not part of the suite, since torch takes gigabytes: `./run model-test` makes an environment of
its own and runs this file.
"""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from micro_agi.errors import InputInvalid, LimitReached
from micro_agi.modelserver.load import Options, load_engine
from tests.modelserver.real_model import (
    COUNTING,
    EXTENDING,
    NAME,
    TOKEN,
    WEATHER,
    Watched,
    agents_turn,
    run_with,
    say,
    until,
    user,
)


def test_it_calls_a_tool_and_reads_its_result(engine):
    async def scenario(client, _):
        asked = [user("weather in Rome?")]
        first = await say(client, asked, tools=[WEATHER])
        said = first.choices[0]
        assert said.finish_reason == "tool_calls"
        [call] = said.message.tool_calls
        assert (call.function.name, json.loads(call.function.arguments)) == (
            "get_weather",
            {"city": "Rome"},
        )
        result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
        history = [*asked, said.message.model_dump(exclude_none=True), result]
        second = await say(client, history, tools=[WEATHER])
        assert second.choices[0].message.content == "It is sunny in Rome."
        # All that the model read and wrote before is computed; new are the marks around the
        # result, and the result.
        used = second.usage
        assert used.prompt_tokens - used.prompt_tokens_details.cached_tokens < 16

    run_with(engine, scenario)


def test_a_forced_call_goes_on_where_its_opening_ends(engine):
    async def scenario(client, _):
        forced = {"type": "function", "function": {"name": "get_weather"}}
        free = await say(client, [user("weather in Rome?")], tools=[WEATHER])
        for choice in (forced, "required"):
            reply = await say(
                client, [user("weather in Rome?")], tools=[WEATHER], tool_choice=choice
            )
            [call] = reply.choices[0].message.tool_calls
            assert call.function.name == "get_weather"
            assert json.loads(call.function.arguments) == {"city": "Rome"}
            # Its opening was written for it.
            assert reply.usage.completion_tokens < free.usage.completion_tokens

    run_with(engine, scenario)


def test_streaming_stop_length_and_seed(engine):
    async def scenario(client, _):
        stream = await say(client, [user("count")], stream=True)
        pieces = [c.choices[0].delta.content or "" async for c in stream if c.choices]
        assert "".join(pieces) == COUNTING
        assert sum(map(bool, pieces)) > 1
        stopped = await say(client, [user("count")], stop=[" three"])
        assert stopped.choices[0].message.content == "one two"
        cut = await say(client, [user("count")], max_tokens=2)
        assert cut.choices[0].finish_reason == "length"
        assert cut.usage.completion_tokens == 2
        texts = [
            (await say(client, [user("?")], temperature=2, seed=seed, max_tokens=30))
            .choices[0]
            .message.content
            for seed in (1, 1, 2)
        ]
        assert texts[0] == texts[1] != texts[2]
        plain = await client.completions.create(
            model=NAME, prompt="<|im_start|>user\ncount<|im_end|>\n<|im_start|>assistant\n"
        )
        assert plain.choices[0].text.startswith("one two")

    run_with(engine, scenario)


def test_the_last_of_fifty_turns_is_answered_from_the_kept_prefix(folder):
    watched = Watched(folder)

    async def scenario(client, _):
        messages, usages, computed = [], [], []
        for n in range(50):
            messages.append(user(f"turn {n}: count"))
            watched.computed.clear()
            reply = await say(client, messages, max_tokens=12)
            messages.append({"role": "assistant", "content": reply.choices[0].message.content})
            usages.append(reply.usage)
            # The first token of a reply comes from the prompt, each further one from a pass.
            computed.append(sum(watched.computed) - (reply.usage.completion_tokens - 1))
        said = [u.prompt_tokens - u.prompt_tokens_details.cached_tokens for u in usages]
        assert computed == said, "the usage says what was computed"
        prompts = [used.prompt_tokens for used in usages]
        print(
            f"\nturn 50: {computed[-1]} of {prompts[-1]} tokens of prompt computed; "
            f"all turns: {sum(computed)} of {sum(prompts)}"
        )
        assert prompts[-1] > 1000
        # The end of the last reply, the question, and the opening of the reply.
        assert max(computed) < 40

    run_with(watched.engine, scenario)


def test_sequences_computed_together_say_what_they_say_alone(engine):
    async def scenario(client, _):
        asked = [
            ([user("weather in Rome?")], [WEATHER]),
            ([user("count")], None),
            ([user("count"), user("count")], None),
            ([user("x " * 40 + "count")], None),
        ]

        async def one(messages, tools):
            reply = await say(
                client, messages, max_tokens=40, **({"tools": tools} if tools else {})
            )
            said = reply.choices[0].message
            calls = [(c.function.name, c.function.arguments) for c in said.tool_calls or ()]
            return said.content, calls

        alone = [await one(*request) for request in asked]
        assert await asyncio.gather(*(one(*request) for request in asked)) == alone

    run_with(engine, scenario)


def test_a_client_that_leaves_frees_the_queue_within_one_token(folder):
    watched = Watched(folder, gated=True)

    async def scenario(client, _):
        watched.gate.release(3)
        stream = await say(client, [user("count")], stream=True)
        shown = 0
        async for chunk in stream:
            shown += bool(chunk.choices and chunk.choices[0].delta.content)
            if shown == 3:
                break
        second = asyncio.create_task(say(client, [user("count")]))
        await until(client, serving=1, waiting=1)
        await stream.close()
        # The network stands before the fourth pass, and nothing tells it but the client's leaving.
        await until(client, leaving=1)
        watched.gate.release(1)
        await until(client, waiting=0, leaving=0)
        assert watched.computed[1:] == [1, 1, 1]
        watched.gate.release(1000)
        assert (await second).choices[0].message.content == COUNTING

    run_with(watched.engine, scenario, opened=watched.open, at_once=1)


def test_a_client_that_leaves_while_its_prompt_is_computed_frees_the_queue(folder):
    watched = Watched(folder, gated=True)

    async def scenario(client, _):
        first = asyncio.create_task(say(client, [user("count " * 1000)]))
        await until(client, serving=1)
        second = asyncio.create_task(say(client, [user("count")]))
        await until(client, waiting=1)
        first.cancel()
        await until(client, leaving=1)
        watched.gate.release(1)
        await until(client, waiting=0, leaving=0)
        [piece] = watched.computed
        assert piece < 2000
        watched.gate.release(1000)
        assert (await second).choices[0].message.content == COUNTING

    run_with(watched.engine, scenario, opened=watched.open, at_once=1)


def test_our_agent_extends_itself_with_this_model(engine, tmp_path):
    async def scenario(_, address):
        return await agents_turn(address, tmp_path / "home", TOKEN)

    turn = run_with(engine, scenario)
    assert turn.lines == EXTENDING
    assert turn.finished.usage.cached > 0


def test_what_cannot_be_loaded_is_refused_with_the_reason(folder, tmp_path):
    with pytest.raises(InputInvalid, match="there is no folder"):
        load_engine(str(tmp_path / "nothing"), Options(), print)
    with pytest.raises(InputInvalid, match="neither a folder nor a model of the hub"):
        load_engine("somebody/something", Options(), print)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputInvalid, match="it has no config"):
        load_engine(str(empty), Options(), print)
    large = Path(shutil.copytree(folder, tmp_path / "large"))
    os.truncate(large / "model.safetensors", 1 << 43)
    with pytest.raises(LimitReached, match="does not fit"):
        load_engine(str(large), Options(), print)
    os.truncate(large / "model.safetensors", 1 << 10)
    with pytest.raises(InputInvalid, match="cannot be loaded"):
        load_engine(str(large), Options(), print)
    with pytest.raises(InputInvalid, match="no device"):
        load_engine(str(folder), Options(device="cuda:7"), print)
