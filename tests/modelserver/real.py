"""The real engine with a real model, however small: made here, trained, saved, loaded, served.

Not part of the suite, since torch takes gigabytes: `./run model-test` makes an environment of
its own and runs this file.
"""

import asyncio
import json
import os
import shutil
from pathlib import Path

import openai
import pytest

from micro_agi.app import Parts, Runtime
from micro_agi.errors import InputInvalid, LimitReached
from micro_agi.modelserver.load import Options, load_engine
from micro_agi.modelserver.serve import listen, serving
from micro_agi.modelserver.server import Server
from micro_agi.settings import load
from micro_agi.testing.model_server import Call, Reply, ScriptedServer
from micro_agi.testing.transcript import run_transcript
from micro_agi.values import Secret, content_hash
from tests.modelserver import tiny_model

SECONDS = 120
"""Of training, at most; it takes about 25."""
TOKEN = "a-token"
NAME = "tiny"
DRAFT = {
    "name": "greet",
    "description": "Greet",
    "source": "return { handler = function(a) return 'hello ' .. a.who end }",
    "input_schema": {"type": "object", "properties": {"who": {"type": "string"}}},
    "tests": [{"args": {"who": "x"}, "expect": "hello x"}],
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
EXTENDING = [
    "[create_tool] ok",
    "[load_tool] ok",
    "[+] app.generated:greet",
    "[greet] ok",
    "hello Ada",
]


def user(text):
    return {"role": "user", "content": text}


async def agents_turn(base_url, home, key=""):
    flags = {"home": str(home), "base_url": base_url, "model": NAME, "api_key": Secret(key)}
    async with await Runtime.open(load(flags=flags), parts=Parts(offline=True)) as runtime:
        [turn] = await run_transcript(runtime, "greet Ada")
        return turn


async def scripted_talks(home):
    """What our agent and a model that extends itself say to each other, by a script."""
    script = [
        Reply(calls=(Call("create_tool", DRAFT),)),
        Reply(calls=(Call("load_tool", {"id": "app.generated:greet"}),)),
        Reply(calls=(Call("greet", {"who": "Ada"}),)),
        Reply(text="hello Ada"),
    ]
    async with ScriptedServer(script, models=[NAME]) as server:
        turn = await agents_turn(server.base_url, home)
        assert turn.lines == EXTENDING
        bodies = [received.body for received in server.received]
    # The tools change when one is loaded, so these are two conversations.
    last = {"role": "assistant", "content": "hello Ada"}
    return [
        talk(bodies[2]["messages"][:-1], bodies[1]["tools"]),
        talk([*bodies[3]["messages"], last], bodies[3]["tools"]),
    ]


def talk(messages, tools):
    for message in messages:
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return {"messages": messages, "tools": tools}


WEATHER_TALK = {
    "messages": [
        user("weather in Rome?"),
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"function": {"name": "get_weather", "arguments": {"city": "Rome"}}},
            ],
        },
        {"role": "tool", "content": "sunny"},
        {"role": "assistant", "content": "It is sunny in Rome."},
    ],
    "tools": [WEATHER],
}
COUNTING = "one two three four five six seven eight nine ten"


@pytest.fixture(scope="session")
def folder(tmp_path_factory, request):
    """The model; it is trained again only when its lines or its making have changed."""
    talks = asyncio.run(scripted_talks(tmp_path_factory.mktemp("scripted") / "home"))
    talks.append(WEATHER_TALK)
    talks.append(talk([user("count"), {"role": "assistant", "content": COUNTING}], []))
    recipe = content_hash([talks, Path(tiny_model.__file__).read_text("utf-8")])
    place = Path(request.config.cache.mkdir(f"tiny-model-{recipe[:16]}")) / NAME
    if not place.exists():
        made = tmp_path_factory.mktemp("made") / NAME
        assert tiny_model.make(made, talks, seconds=SECONDS), "it did not learn its lines"
        shutil.move(made, place)
    return place


@pytest.fixture(scope="session")
def engine(folder):
    return load_engine(str(folder), Options(threads=1), print)


def run_with(engine, scenario, **options):
    async def main():
        server = Server(engine, Secret(TOKEN), **options)
        async with (
            serving(server, listen("127.0.0.1", 0)) as address,
            openai.AsyncOpenAI(api_key=TOKEN, base_url=address, max_retries=0) as client,
        ):
            return await scenario(client, address)

    return asyncio.run(main())


async def say(client, messages, **options):
    options = {"model": NAME, "temperature": 0, "messages": messages, **options}
    return await client.chat.completions.create(**options)


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


def test_the_last_of_fifty_turns_is_answered_from_the_kept_prefix(engine):
    async def scenario(client, _):
        messages, usages = [], []
        for n in range(50):
            messages.append(user(f"turn {n}: count"))
            reply = await say(client, messages, max_tokens=12)
            messages.append({"role": "assistant", "content": reply.choices[0].message.content})
            usages.append(reply.usage)
        last = usages[-1]
        computed = last.prompt_tokens - last.prompt_tokens_details.cached_tokens
        print(f"\nturn 50: {last.prompt_tokens} tokens of prompt, {computed} computed")
        assert last.prompt_tokens > 500
        assert computed < 40

    run_with(engine, scenario)


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


def test_a_client_that_leaves_frees_the_queue(engine):
    async def scenario(client, address):
        options = {"temperature": 2, "max_tokens": 6000, "stream": True}
        stream = await say(client, [user("go on")], **options)
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                break
        await stream.close()
        # With one place in service, this is answered only when the place is free.
        reply = await say(client, [user("count")])
        assert reply.choices[0].message.content == COUNTING

    run_with(engine, scenario, at_once=1)


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
