"""The real model and how the tests talk to it: a pytest plugin, loaded by `./run model-test`.

Not a conftest, since torch takes gigabytes and the suite runs without it.
"""

import asyncio
import json
import shutil
import threading
from pathlib import Path

import openai
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from micro_agi.app import Parts, Runtime
from micro_agi.modelserver.load import Options, load_engine
from micro_agi.modelserver.serve import listen, serving
from micro_agi.modelserver.server import Server
from micro_agi.modelserver.transformers_engine import TransformersEngine
from micro_agi.settings import load
from micro_agi.testing.model_server import Call, Reply, ScriptedServer
from micro_agi.testing.transcript import run_transcript
from micro_agi.values import Secret, content_hash
from tests.modelserver import tiny_model

SECONDS = 120
"""Of training, at most; it takes about 25."""
WAIT_S = 60
"""For one scenario."""
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


class Watched:
    """An engine whose network counts the tokens that it computes, and can be made to wait."""

    def __init__(self, folder, *, gated=False):
        network = AutoModelForCausalLM.from_pretrained(folder).eval()
        network.register_forward_pre_hook(self._before, with_kwargs=True)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        self.engine = TransformersEngine(
            network, tokenizer, name=NAME, window=0, cache_bytes=1 << 28
        )
        self.gate = threading.Semaphore(0) if gated else None
        """Each forward pass takes one `gate.release()`."""
        self.computed = []
        """Tokens of each forward pass."""

    def open(self):
        self.gate.release(1_000_000)

    def _before(self, network, args, kwargs):
        if self.gate is not None:
            self.gate.acquire()
        self.computed.append(kwargs["input_ids"].numel())


async def until(client, **expected):
    """Wait until the server's health says so; the test's own timeout bounds it."""
    while not expected.items() <= (await client.get("/../health", cast_to=object)).items():
        await asyncio.sleep(0)


def run_with(engine, scenario, *, opened=lambda: None, **options):
    """Run a scenario against a server; `opened` lets everything through, so that it can stop."""

    async def main():
        server = Server(engine, Secret(TOKEN), **options)
        async with (
            serving(server, listen("127.0.0.1", 0)) as address,
            openai.AsyncOpenAI(api_key=TOKEN, base_url=address, max_retries=0) as client,
        ):
            try:
                return await asyncio.wait_for(scenario(client, address), WAIT_S)
            finally:
                opened()

    return asyncio.run(main())


async def say(client, messages, **options):
    options = {"model": NAME, "temperature": 0, "messages": messages, **options}
    return await client.chat.completions.create(**options)
