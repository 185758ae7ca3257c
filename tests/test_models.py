"""Which model an agent gets, and which one summarises for it."""

import asyncio

import pytest

from micro_agi.app import Parts, Runtime
from micro_agi.settings import load
from micro_agi.testing.model_server import ScriptedServer


def with_runtime(tmp_path, use, environ=None, **settings):
    async def scenario():
        flags = {"home": str(tmp_path), "local_ports": "1", **settings}
        loaded = load(flags=flags, environ=environ)
        async with await Runtime.open(loaded, parts=Parts(offline=True)) as runtime:
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
