"""Which model an agent gets, and which one summarises for it."""

import asyncio

import pytest

from micro_agi.app import Parts, Runtime
from micro_agi.errors import InputInvalid
from micro_agi.settings import load
from micro_agi.testing.model_server import Reply, ScriptedServer
from micro_agi.testing.scripted import Call


def with_runtime(tmp_path, use, environ=None, *, agreed=None, **settings):
    async def agree(question):
        return agreed

    async def scenario():
        flags = {"home": str(tmp_path), "local_ports": "1", **settings}
        loaded = load(flags=flags, environ=environ)
        ask = agree if agreed is not None else None
        async with await Runtime.open(loaded, ask=ask, parts=Parts(offline=True)) as runtime:
            return await use(runtime)

    return asyncio.run(scenario())


@pytest.mark.requirement("000/compression/cheap-model")
def test_the_cheap_model_of_the_settings_summarises(tmp_path):
    async def use(runtime):
        card = await runtime.models.choose("gpt-5.1")
        return card, await runtime.models.cheap(card)

    card, cheap = with_runtime(tmp_path, use, api_key="sk-test")
    assert card.name == "gpt-5.1"
    assert cheap.name == "gpt-4.1-nano"


def test_a_model_of_class_fast_stands_in_for_one_that_is_not_there(tmp_path):
    async def use(runtime):
        return await runtime.models.cheap(await runtime.models.choose("gpt-5.1"))

    cheap = with_runtime(tmp_path, use, api_key="sk-test", compress_model="no-such-model")
    assert cheap.name == "gpt-4.1-nano"


def test_the_first_cheap_model_that_there_is_a_key_for_stands_in(tmp_path):
    async def use(runtime):
        card = await runtime.models.choose("claude-sonnet-5-5")
        return card, await runtime.models.cheap(card)

    card, cheap = with_runtime(tmp_path, use, {"ANTHROPIC_API_KEY": "sk-test"})
    assert card.provider == "wippy.llm.claude:provider at https://api.anthropic.com"
    assert (card.max_tokens, card.pricing.cache_write) == (1_000_000, 2.5)
    assert cheap.name == "claude-haiku-4-5"


def test_other_addresses_of_services_are_taken_with_and_without_what_is_added_to_them(tmp_path):
    async def use(runtime):
        chosen = [await runtime.models.explain(n) for n in ("claude-new", "gemini-new")]
        return [c.access.base_url for c in chosen]

    for anthropic, google in (("", ""), ("/v1/", "/models/")):
        environ = {
            "ANTHROPIC_BASE_URL": f"http://127.0.0.1:1{anthropic}",
            "GEN_AI_API_BASE_URL": f"http://127.0.0.1:2/v1beta{google}",
        }
        urls = with_runtime(tmp_path, use, environ)
        assert urls == ["http://127.0.0.1:1", "http://127.0.0.1:2/v1beta"]


def test_a_server_that_the_person_chose_is_not_left_for_a_summary(tmp_path):
    async def use(runtime):
        card = await runtime.models.choose("gpt-5.1")
        return card, await runtime.models.cheap(card)

    url = "http://127.0.0.1:1/v1"
    card, cheap = with_runtime(tmp_path, use, api_key="sk-test", base_url=url, model="mine")
    assert card.name == "mine"
    assert cheap is card


def create(runtime, *entries):
    changes = runtime.registry.snapshot().changes()
    for entry in entries:
        changes.create(entry)
    return changes.apply(runtime.root())


def agent(name, model):
    meta = {"type": "agent.gen1", "name": name, "class": "helper"}
    data = {"prompt": f"You are {name}.", "model": model}
    return {"id": f"app:{name}", "kind": "registry.entry", "meta": meta, "data": data}


def model_at(url, name, key=""):
    options = {"base_url": url, "api_key_env": key} if key else {"base_url": url}
    provider = {"id": "wippy.llm.openai_compat:provider", "options": options}
    meta = {"type": "llm.model", "name": name}
    data = {"max_tokens": 8000, "providers": [provider]}
    return {"id": f"app:m_{name}", "kind": "registry.entry", "meta": meta, "data": data}


@pytest.mark.requirement("003/discovery/selector", "agents/models/class-stays-local")
@pytest.mark.parametrize("found", [True, False])
def test_the_selector_asks_the_local_server_of_the_agents_and_no_cloud(tmp_path, found):
    """A discovered server, or one that an entry names; keys for class `fast` change nothing."""
    environ = {"GEMINI_API_KEY": "g", "ANTHROPIC_API_KEY": "a"}

    async def use(runtime):
        models = ("gpt-5.1", "gpt-5.1") if found else ("claude-haiku-4-5", "here")
        agents = [agent(f"a{n}", model) for n, model in enumerate(models)]
        quick = model_at("", "quick")
        quick["meta"] |= {"class": "fast", "priority": 999}
        quick["data"]["providers"][0] = {"id": "wippy.llm.google:provider"}
        await create(runtime, model_at(server.base_url, "here"), quick, *agents)
        return await runtime.select_agent("fix my code", "helper")

    call = Call("choose_agent", {"agent": "app:a1", "reason": "it codes"})
    with ScriptedServer([Reply(calls=(call,))]).in_thread() as server:
        port = server.base_url.rsplit(":", 1)[1].removesuffix("/v1")
        ports = (port,) if found else ("1",)
        selected = with_runtime(tmp_path, use, environ, local_ports=ports, agreed=True)
    assert (selected.agent, len(server.received)) == ("app:a1", 1)
    assert server.received[0].headers.get("Authorization") is None


def test_a_selector_whose_agents_run_on_a_service_asks_a_cheap_model_there(tmp_path):
    async def use(runtime):
        return await runtime.models.beside(["no-such", "claude-sonnet-5-5"], {})

    # A key for another service, whose model would be the first choice, changes nothing.
    environ = {"ANTHROPIC_API_KEY": "a", "GEMINI_API_KEY": "g"}
    card = with_runtime(tmp_path, use, environ, api_key="sk-test")
    assert card.name == "claude-haiku-4-5"
    with pytest.raises(InputInvalid, match="no model or class is called `no-such`"):
        with_runtime(tmp_path, lambda rt: rt.models.beside(["no-such"], {}))


def test_two_keys_at_one_address_are_two_providers(tmp_path):
    async def use(runtime):
        url = server.base_url
        await create(runtime, *(model_at(url, n, f"{n.upper()}_KEY") for n in ("ada", "bob")))
        for name in ("ada", "bob", "ada"):
            await runtime.llm.generate("hi", model=name)
        return [(await runtime.models.choose(n)).provider for n in ("ada", "bob")]

    environ = {"ADA_KEY": "sk-of-ada", "BOB_KEY": "sk-of-bob"}
    with ScriptedServer([Reply(text="x")] * 3).in_thread() as server:
        ada, bob = with_runtime(tmp_path, use, environ)
    assert bob == f"{ada} (2)"
    keys = [r.headers["Authorization"].removeprefix("Bearer ") for r in server.received]
    assert keys == ["sk-of-ada", "sk-of-bob", "sk-of-ada"]


def test_two_addresses_have_two_providers(tmp_path):
    async def use(runtime):
        changes = runtime.registry.snapshot().changes()
        data = {
            "max_tokens": 1000,
            "providers": [
                {
                    "id": "wippy.llm.openai_compat:provider",
                    "provider_model": "small",
                    "options": {"base_url": "http://127.0.0.1:2/v1"},
                }
            ],
        }
        meta = {"type": "llm.model", "name": "small"}
        changes.create({"id": "app:small", "kind": "registry.entry", "meta": meta, "data": data})
        await changes.apply(runtime.root())
        return [(await runtime.models.choose(name)).provider for name in ("gpt-5.1", "small")]

    first, second = with_runtime(tmp_path, use, api_key="sk-test")
    assert first.endswith("https://api.openai.com/v1")
    assert second.endswith("http://127.0.0.1:2/v1")


def test_a_models_own_key_is_the_variable_its_entry_names(tmp_path):
    async def use(runtime):
        changes = runtime.registry.snapshot().changes()
        provider = {
            "id": "wippy.llm.openai_compat:provider",
            "provider_model": "small",
            "options": {"base_url": "http://127.0.0.1:2/v1", "api_key_env": "CLOUD_KEY"},
        }
        meta = {"type": "llm.model", "name": "small"}
        data = {"max_tokens": 1000, "providers": [provider]}
        changes.create({"id": "app:small", "kind": "registry.entry", "meta": meta, "data": data})
        await changes.apply(runtime.root())
        return await runtime.models.explain("small")

    async def scenario():
        flags = {"home": str(tmp_path), "local_ports": "1"}
        settings = load(flags=flags, environ={"CLOUD_KEY": "sk-cloud"})
        async with await Runtime.open(settings, parts=Parts(offline=True)) as runtime:
            return await use(runtime)

    chosen = asyncio.run(scenario())
    assert chosen.access.api_key.reveal() == "sk-cloud"


def test_a_model_that_nobody_named_is_told_in_one_line(tmp_path):
    async def scenario():
        async with ScriptedServer([], models=("only-one",)) as server:
            flags = {"home": str(tmp_path), "base_url": server.base_url}
            async with await Runtime.open(load(flags=flags), parts=Parts(offline=True)) as runtime:
                await runtime.models.choose("gpt-5.1")
                await runtime.models.choose("gpt-5.1")
                return runtime.notices, server.base_url

    notices, url = asyncio.run(scenario())
    assert notices == [f"model: only-one at {url} (the only model there)"]


@pytest.mark.requirement("004/models/gemini-only-when-chosen")
def test_a_key_of_google_never_moves_a_local_choice(tmp_path):
    """Neither the agent's model, nor the one that summarises for it, leaves this machine."""
    environ = {"GEMINI_API_KEY": "g", "GOOGLE_API_KEY": "g", "ANTHROPIC_API_KEY": "a"}

    async def use(runtime):
        chosen = await runtime.models.explain("")
        return chosen.access.base_url, (await runtime.models.cheap(chosen.card)).provider

    async def refused(runtime):
        with pytest.raises(InputInvalid, match="no model is named"):
            await runtime.models.choose("")

    with ScriptedServer([]).in_thread() as server:
        url = server.base_url
        named = with_runtime(tmp_path / "a", use, {**environ, "AGENT_MODEL_URL": url})
        # A server that was found, with a person's consent, and none that was named.
        port = url.rsplit(":", 1)[1].removesuffix("/v1")
        found = with_runtime(tmp_path / "b", use, environ, local_ports=(port,), agreed=True)
        for base_url, provider in (named, found):
            assert base_url == url
            assert provider == f"wippy.llm.openai_compat:provider at {url}"
    # And without any server the keys choose nothing.
    with_runtime(tmp_path / "c", refused, environ)
