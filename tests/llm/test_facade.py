"""`rt.llm`: the same models for embedding programs, against a real server on loopback."""

import asyncio

import pytest

from micro_agi.api import Parts, Prompt, open_runtime
from micro_agi.errors import InputInvalid, OutputInvalid, ProviderRefused, ProviderUnavailable
from micro_agi.messages import TextDelta, ToolSpec
from micro_agi.testing.model_server import Fault, Reply, ScriptedServer

WINDOW = {"id": "local", "context_length": 8000}


def with_runtime(work, script=(), **server_options):
    """Run `work(rt, server)` with a runtime whose models are at a scripted server."""

    async def run():
        async with ScriptedServer(list(script), models=[WINDOW], **server_options) as server:
            settings = {"base_url": server.base_url, "model": "local", "model_retries": 0}
            parts = Parts(offline=True, environ={})
            async with open_runtime(app="bundled", home=home, parts=parts, **settings) as rt:
                return await work(rt, server)

    import tempfile

    with tempfile.TemporaryDirectory() as home:
        return asyncio.run(run())


@pytest.mark.requirement("003/python/generate")
def test_a_program_asks_a_model_and_sees_its_answer_come():
    add = ToolSpec(id="add", name="add", description="Add.", schema={"type": "object"})

    async def work(rt, server):
        seen = []
        reply = await rt.llm.generate("hi", model="local", max_tokens=9, on_event=seen.append)
        prompt = Prompt().add_system("Be kind.").add_user("hi")
        other = await rt.llm.generate(prompt, model="local", tools=[add], tool_choice="add")
        bodies = [r.body for r in server.received]
        return reply, seen, other, bodies, await rt.usage.totals()

    script = [Reply(text=("Hel", "lo.")), Reply(text="Kindly.")]
    reply, seen, other, bodies, totals = with_runtime(work, script)
    assert (reply.text, other.text) == ("Hello.", "Kindly.")
    assert "".join(e.text for e in seen if isinstance(e, TextDelta)) == "Hello."
    assert bodies[0]["max_tokens"] == 9
    assert [m["role"] for m in bodies[1]["messages"]] == ["system", "user"]
    assert bodies[1]["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert [(t.model, t.calls, t.usage.prompt) for t in totals] == [("local", 2, 22)]


@pytest.mark.requirement("003/python/structured")
def test_a_program_gets_a_value_that_fits_or_an_error():
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}

    async def work(rt, server):
        found = await rt.llm.structured_output(schema, "how many?", model="local")
        with pytest.raises(OutputInvalid) as wrong:
            await rt.llm.structured_output(schema, "how many?", model="local")
        return found, wrong.value

    script = [Reply(text="five"), Reply(text='{"n": 5}'), Reply(text="{}"), Reply(text="{}")]
    found, wrong = with_runtime(work, script)
    assert found.value == {"n": 5}
    assert len(found.replies) == 2
    assert '"n" is a required property' in wrong.what
    assert wrong.fix


@pytest.mark.requirement("003/llm/embed", "003/python/embed")
def test_texts_become_vectors_in_their_order():
    async def work(rt, server):
        one = await rt.llm.embed("ab", model="nomic")
        many = await rt.llm.embed([f"{'x' * n}" for n in range(1, 301)], model="local")
        source = "local r, e = llm.embed({'a', 'bb'}, { model = 'local', dimensions = 2 })"
        unit = {"source": f"return function() {source} return r end", "method": "handler"}
        changes = rt.registry.snapshot().changes()
        imports = {"llm": "wippy.llm:llm"}
        entry = {"id": "app:e", "kind": "function.lua", "meta": {}}
        changes.create({**entry, "data": {**unit, "imports": imports}})
        await changes.apply(rt.root())
        lua = await rt.call("app:e")
        for bad in ("", [], ["a", ""], [1]):
            with pytest.raises(InputInvalid):
                await rt.llm.embed(bad, model="local")
        return one, many, lua, [r.body for r in server.received]

    one, many, lua, bodies = with_runtime(work, vector=lambda text: [float(len(text)), 0.5])
    assert one.vectors == [[2.0, 0.5]]
    assert one.usage.prompt == 2
    assert [v[0] for v in many.vectors] == [float(n) for n in range(1, 301)]
    assert [len(b["input"]) for b in bodies] == [1, 256, 44, 2]
    assert [b["model"] for b in bodies] == ["nomic", *["local"] * 3]
    assert bodies[-1]["dimensions"] == 2
    assert lua["result"] == [[1.0, 0.5], [2.0, 0.5]]


@pytest.mark.parametrize("vector", [None, lambda text: [], lambda text: [1.0] * len(text)])
def test_a_service_that_does_not_embed_properly_is_an_error(vector):
    async def work(rt, server):
        with pytest.raises((ProviderRefused, ProviderUnavailable)) as caught:
            await rt.llm.embed(["a", "bb"], model="local")
        return caught.value

    error = with_runtime(work, vector=vector)
    assert "local at http://127.0.0.1" in error.where


@pytest.mark.requirement("003/llm/status")
def test_a_program_asks_whether_a_service_lives():
    async def work(rt, server):
        alive = await rt.llm.status(model="local")
        with pytest.raises(ProviderRefused):
            await rt.llm.generate("hi", model="local")
        card = await rt.models.choose("local")
        await server.__aexit__()
        return alive, await rt.llm.parts.gateway.provider(card).status(rt.client, card)

    alive, dead = with_runtime(work, [Fault(status=400, message="no")])
    assert (alive.success, alive.status) == (True, "healthy")
    assert (dead.success, dead.status) == (False, "unhealthy")
    assert dead.message


def test_a_program_compresses_a_text():
    async def work(rt, server):
        with pytest.raises(InputInvalid, match="too small"):
            await rt.llm.to_size("local", "x" * 100, 10)
        return await rt.llm.to_size("local", "words " * 100, 60)

    assert with_runtime(work, [Reply(text="y" * 60)]) == "y" * 60
