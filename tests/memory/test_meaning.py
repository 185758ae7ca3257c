"""Search by meaning: a real embeddings server on loopback, and what happens when it fails."""

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from micro_agi.llm.embeddings import embeddings_of
from micro_agi.memory.item import Origin
from micro_agi.memory.memory import Memory
from micro_agi.settings import load
from micro_agi.testing.transcript import scripted_runtime

AXES = (("boat", "ship", "sail"), ("bread", "bake", "oven"), ("tax", "invoice", "money"))


def vector(text):
    """A model that knows three subjects."""
    return [0.01 + sum(text.lower().count(word) for word in axis) for axis in AXES]


class Embedding:
    """An embeddings server that can be told to fail."""

    def __init__(self):
        self.asked = []
        self.headers = []
        self.reply = None

    async def answer(self, request):
        body = await request.json()
        self.asked.append(body["input"])
        self.headers.append(dict(request.headers))
        if self.reply is not None:
            return self.reply()
        data = [{"index": n, "embedding": vector(t)} for n, t in enumerate(body["input"])]
        return web.json_response({"data": data[::-1]})

    @asynccontextmanager
    async def serving(self):
        app = web.Application()
        app.router.add_post("/v1/embeddings", self.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        finally:
            await runner.cleanup()


def play(scenario, **settings):
    """Run `scenario(memory call, server)` in a runtime whose settings name the server."""

    async def run():
        server = Embedding()
        async with (
            server.serving() as url,
            scripted_runtime([], embed_url=url, embed_model="tiny", **settings) as played,
        ):
            rt = played.runtime

            async def memory(operation, **arguments):
                arguments = {"operation": operation, **arguments}
                return await rt.functions.call("local:memory", [arguments], rt.root())

            return await scenario(memory, server)

    return asyncio.run(run())


def contents(answer):
    return [m["content"] for m in answer["memories"]]


@pytest.mark.requirement("004/memory/embeddings")
def test_what_words_do_not_find_meaning_does_and_both_together_come_first():
    async def scenario(memory, server):
        await memory("add", content="We sail on Sundays")
        await memory("add", content="The invoice is due in May")
        await memory("add", content="A ship needs an invoice too")
        found = contents(await memory("search", query="boat"))
        assert found[0] == "We sail on Sundays"
        both = contents(await memory("search", query="invoice money"))
        assert both[0] == "The invoice is due in May"
        assert len(server.asked) == 5  # one for each item, one for each question
        changed = await memory("update", id="mem_1", content="We bake on Sundays")
        assert changed["memory"]["revision"] == 2
        assert contents(await memory("search", query="bread"))[0] == "We bake on Sundays"
        await memory("delete", id="mem_1")
        assert "We bake on Sundays" not in contents(await memory("search", query="bread"))

    play(scenario)


def test_nothing_is_recalled_only_because_something_is_always_nearest():
    async def run():
        server = Embedding()
        async with (
            server.serving() as url,
            scripted_runtime([], embed_url=url, embed_model="tiny") as played,
        ):
            memory = played.runtime.memory
            for text in ("We sail on Sundays", "The ship is blue", "We bake bread"):
                await memory.add(text, origin=Origin())
            assert await memory.related("my boat", limit=3) == []
            found = await memory.related("a blue boat, and we bake", limit=3)
            assert {i.content for i in found} == {"The ship is blue", "We bake bread"}

    asyncio.run(run())


def test_no_key_goes_to_a_server_that_it_was_not_given_for():
    async def scenario(memory, server):
        await memory("add", content="We sail")
        return server.headers[0]

    assert "Authorization" not in play(scenario)
    own = play(scenario, embed_key="sk-embed")
    assert own["Authorization"] == "Bearer sk-embed"


@pytest.mark.requirement("004/memory/embeddings-fail")
@pytest.mark.parametrize(
    "reply",
    [
        lambda: web.Response(status=500, text="out of memory"),
        lambda: web.Response(text="<html>not this</html>"),
        lambda: web.json_response({"data": []}),
        lambda: web.json_response({"data": [{"index": 0, "embedding": [0, 0, 0]}]}),
        lambda: web.json_response({"data": [{"index": 0, "embedding": []}]}),
        lambda: web.json_response({"data": [{"index": 0, "embedding": ["x"]}]}),
        lambda: web.Response(text='{"data": [{"index": 0, "embedding": [1e999, 1]}]}'),
    ],
)
def test_a_model_that_fails_costs_nothing_but_the_meaning(reply):
    async def scenario(memory, server):
        server.reply = reply
        await memory("add", content="We sail on Sundays")
        found = await memory("search", query="sail")
        assert contents(found) == ["We sail on Sundays"]
        assert found["note"].startswith("found by words only: the embedding model")
        # It is left alone for a while instead of being waited for at every call.
        assert len(server.asked) == 1

    play(scenario)


def test_what_was_stored_without_the_model_is_caught_up_with():
    async def run():
        server = Embedding()
        async with server.serving() as url, scripted_runtime([]) as played:
            rt = played.runtime
            settings = load(flags={"embed_url": url, "embed_model": "tiny"})
            for n in range(70):
                await rt.memory.add(f"filler {n}", origin=Origin())
            await rt.memory.add("We sail on Sundays", origin=Origin())
            later = Memory(rt.database, embedder=embeddings_of(settings, rt.client))
            for text in ("bread a", "bread b", "bread c"):
                await later.add(text, origin=Origin())
            assert [len(texts) for texts in server.asked] == [32, 32, 10]
            [first, *_] = await later.search("boat")
            assert first.content == "We sail on Sundays"

    asyncio.run(run())


def test_without_numpy_the_candidates_of_the_words_are_compared():
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "import importlib.util\n"
        "from micro_agi.search.vectors import closest, numpy_is_there, pack\n"
        "print(numpy_is_there())\n"
        "many = {1: pack([1, 0]), 2: pack([3, 3]), 3: pack([0, 1, 0])}\n"
        "print(closest(pack([0, 2]), many, 5))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split("\n")[:2] == ["False", "[2, 1]"]
