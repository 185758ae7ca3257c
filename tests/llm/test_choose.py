"""Which model is chosen, and what is said when there is none."""

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest

from micro_agi.errors import InputInvalid
from micro_agi.llm.catalogue import Catalogue, ModelCard
from micro_agi.llm.choose import Wanted, choose
from micro_agi.llm.discovery import find_servers, list_models
from micro_agi.llm.providers.table import ANTHROPIC, GOOGLE, OPENAI, OPENAI_COMPATIBLE
from micro_agi.net.client import Client
from micro_agi.testing.model_server import ScriptedServer
from micro_agi.testing.scripted import scripted_card
from micro_agi.values import Secret

GPT = ModelCard(
    name="gpt-5.1", provider=OPENAI, provider_model="gpt-5.1", max_tokens=128_000, classes=("big",)
)
OWN = ModelCard(
    name="own",
    provider=OPENAI_COMPATIBLE,
    provider_model="own-1",
    options={"base_url": "http://127.0.0.1:9/v1/", "api_key_env": "OWN_KEY"},
)
CLAUDE = ModelCard(name="claude-x", provider=ANTHROPIC, provider_model="claude-x-1")
CATALOGUE = Catalogue([GPT, OWN, CLAUDE, scripted_card()])
KEY = Secret("sk-person")


def chosen(*servers, agrees=None, at=None, use_ports=True, **wanted):
    """Choose with these models served; `at` gives `--base-url` of the first server."""
    questions = []

    async def ask(question):
        questions.append(question)
        return agrees

    async def main():
        client = Client(offline=True)
        async with AsyncExitStack() as stack:
            running = [
                await stack.enter_async_context(ScriptedServer([], models=models))
                for models in servers
            ]
            stack.push_async_callback(client.close)
            if at is not None:
                wanted["base_url"] = running[0].base_url + at
            ports = [server.base_url.split(":")[2].split("/")[0] for server in running]
            if wanted.get("agreed_url"):
                wanted["agreed_url"] = running[0].base_url
            options = Wanted(**({"local_ports": ports if use_ports else []} | wanted))
            return await choose(options, CATALOGUE, client, ask=ask)

    return asyncio.run(asyncio.wait_for(main(), 10)), questions


def refused(*servers, **options):
    with pytest.raises(InputInvalid) as problem:
        chosen(*servers, **options)
    return problem.value


def test_the_agents_model_is_used_when_there_is_a_key():
    found, questions = chosen(["llama"], agent_model="gpt-5.1", api_key=KEY)
    assert (found.card, found.access.base_url) == (GPT, "https://api.openai.com/v1")
    assert found.access.api_key is KEY
    assert (found.why, questions) == ("gpt-5.1 at OpenAI (the agent's model)", [])


def test_a_named_model_beats_the_agents():
    found, _ = chosen(model="class:big", agent_model="own", api_key=KEY)
    assert found.card is GPT
    assert "as asked" in found.why


def test_each_service_gets_its_own_key_and_no_other():
    keys = {"ANTHROPIC_API_KEY": Secret("a"), "GEMINI_API_KEY": Secret("g")}
    found, _ = chosen(model="claude-x", api_key=KEY, keys=keys, organization="org")
    assert (found.card, found.access.api_key.reveal()) == (CLAUDE, "a")
    assert (found.access.base_url, found.access.organization) == ("https://api.anthropic.com", "")
    assert found.why == "claude-x at Anthropic (as asked)"
    problem = refused(model="claude-x", api_key=KEY, keys={"GEMINI_API_KEY": Secret("g")})
    assert "set ANTHROPIC_API_KEY" in problem.fix


@pytest.mark.requirement("agents/providers/google-key")
@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"GEMINI_API_KEY": "one", "GOOGLE_API_KEY": "two"}, "one"),
        ({"GOOGLE_API_KEY": "two"}, "two"),
    ],
)
def test_google_takes_its_key_from_either_variable(keys, key):
    found, _ = chosen(model="gemini-9", keys={name: Secret(k) for name, k in keys.items()})
    assert found.access.api_key.reveal() == key
    assert (found.card.provider, found.card.provider_model) == (GOOGLE, "gemini-9")
    assert found.card.max_tokens == 1_048_576
    assert "set GEMINI_API_KEY or GOOGLE_API_KEY" in refused(model="gemini-9").fix


def test_an_entrys_own_address_may_have_the_version_that_our_paths_have_too():
    own = ModelCard(
        name="own-claude",
        provider=ANTHROPIC,
        provider_model="c",
        options={"base_url": "http://127.0.0.1:9/x/v1/", "api_key_env": "OWN_KEY"},
    )
    wanted = Wanted(model="own-claude", keys={"OWN_KEY": Secret("o"), "ANTHROPIC_API_KEY": KEY})
    found = asyncio.run(choose(wanted, Catalogue([own]), Client(offline=True)))
    assert found.access.base_url == "http://127.0.0.1:9/x"
    assert found.access.api_key.reveal() == "o"


def test_a_service_can_be_somewhere_else_and_need_no_key_there():
    urls = {ANTHROPIC: "http://127.0.0.1:9"}
    found, _ = chosen(model="claude-new", urls=urls)
    assert (found.access.base_url, bool(found.access.api_key)) == ("http://127.0.0.1:9", False)
    assert found.why == "claude-new at http://127.0.0.1:9 (as asked)"


def test_a_model_with_its_own_address_gets_only_the_key_it_names():
    found, _ = chosen(model="own", api_key=KEY, keys={"OWN_KEY": Secret("own")})
    assert found.access.base_url == "http://127.0.0.1:9/v1"
    assert found.access.api_key.reveal() == "own"
    found, _ = chosen(model="own", api_key=KEY)
    assert not found.access.api_key


def test_a_scripted_model_needs_nothing():
    found, _ = chosen(model="scripted")
    assert found.access is None


def test_a_local_server_is_used_once_a_person_agrees():
    found, questions = chosen(["llama"], agent_model="gpt-5.1", agrees=True)
    assert found.card.name == found.card.provider_model == "llama"
    assert (found.card.provider, found.card.max_tokens) == (OPENAI_COMPATIBLE, 32_768)
    assert found.discovered
    assert len(questions) == 1
    assert "llama" in questions[0]
    assert "there is no key for gpt-5.1" in found.why


def test_an_agent_that_names_no_model_is_not_told_of_a_key_for_nothing():
    found, _ = chosen(["llama"], agent_model="", agrees=True)
    assert "no model is named" in found.why
    with pytest.raises(InputInvalid, match=r"^no model is named, and the local server at"):
        chosen(["llama"], agent_model="", agrees=False)


def test_a_server_that_was_agreed_to_is_not_asked_about_again():
    found, questions = chosen(["llama"], agent_model="gpt-5.1", agreed_url="this one")
    assert (found.card.name, questions) == ("llama", [])


@pytest.mark.requirement("agents/models/class-stays-local")
@pytest.mark.parametrize("wish", ["class:big", "big"])
def test_a_class_stays_at_the_server_that_a_person_agreed_to(wish):
    found, questions = chosen(["llama"], agent_model=wish, agreed_url="this one", api_key=KEY)
    assert (found.card.name, found.access.api_key.reveal(), questions) == ("llama", "", [])
    assert "you agreed to it" in found.why
    # What an entry names exactly, and what the person asks for, is another matter.
    for named in ({"agent_model": "gpt-5.1"}, {"agent_model": "own", "model": wish}):
        found, _ = chosen(["llama"], agreed_url="this one", api_key=KEY, **named)
        assert found.card is GPT


@pytest.mark.requirement("agents/models/class-stays-local")
def test_a_class_leaves_an_agreed_server_that_is_gone_only_when_the_person_says_so():
    gone = {"agent_model": "class:big", "agreed_url": "gone", "api_key": KEY, "use_ports": False}
    found, (question,) = chosen(["llama"], agrees=True, **gone)
    assert (found.card, found.left) == (GPT, True)
    assert "to which you agreed" in question
    assert "gpt-5.1 at OpenAI" in question
    assert "--model" in refused(["llama"], agrees=False, **gone).fix


def test_nobody_agreeing_uses_nothing_and_says_how():
    problem = refused(["llama"], agent_model="gpt-5.1", agrees=False)
    assert problem.exit_code == 2
    assert "--base-url http://127.0.0.1:" in problem.fix


def test_a_discovered_server_never_gets_the_persons_key():
    found, _ = chosen(["llama"], model="llama", api_key=KEY, agrees=True)
    assert not found.access.api_key


def test_a_named_model_is_looked_for_on_every_local_server():
    found, _ = chosen(["a", "b"], ["llama:latest", "c"], model="llama", agrees=True)
    assert found.card.provider_model == "llama:latest"


def test_several_models_and_no_name_lists_them():
    problem = refused(["a", "b", "nomic-embed"], agent_model="gpt-5.1", agrees=True)
    assert "one of: a, b" in problem.fix
    assert "nomic" not in problem.fix


def test_with_a_base_url_the_name_is_passed_through():
    found, questions = chosen(["llama", "b"], at="/", model="anything-at-all", api_key=KEY)
    assert found.card.provider_model == "anything-at-all"
    assert found.card.max_tokens == 32_768
    assert found.access.api_key is KEY
    assert questions == []


def test_the_servers_own_window_counts():
    served = [{"id": "llama", "max_model_len": 8192}]
    found, _ = chosen(served, at="", model="llama")
    assert found.card.max_tokens == 8192
    found, _ = chosen([{"id": "x", "meta": {"n_ctx": 4096}}], at="")
    assert (found.card.name, found.card.max_tokens) == ("x", 4096)


def test_with_a_base_url_the_agents_model_is_taken_if_served_else_the_only_one():
    found, _ = chosen(["gpt-5.1", "b"], at="", agent_model="gpt-5.1")
    assert (found.card.name, found.card.max_tokens) == ("gpt-5.1", 128_000)
    assert found.card.provider == OPENAI_COMPATIBLE
    found, _ = chosen(["llama"], at="", agent_model="gpt-5.1")
    assert (found.card.name, found.why.endswith("(the only model there)")) == ("llama", True)
    problem = refused(["a", "b"], at="", agent_model="gpt-5.1")
    assert "--model with one of: a, b" in problem.fix


def test_with_nothing_found_three_ways_are_explained():
    problem = refused(agent_model="gpt-5.1", agrees=True)
    assert problem.exit_code == 2
    for way in ("OPENAI_API_KEY", "--base-url", "micro-agi demo"):
        assert way in problem.fix
    assert "gpt-5.1" in problem.what


def test_a_misspelt_model_names_the_nearest():
    assert "gpt-5.1" in refused(model="gpt-5.11").fix


def test_looking_for_servers_takes_no_longer_than_its_limit():
    async def main():
        # Connections to it succeed, and nobody ever answers.
        silent = socket.create_server(("127.0.0.1", 0))
        port = str(silent.getsockname()[1])
        client = Client(offline=True)
        await client.preload()
        loop = asyncio.get_running_loop()
        try:
            async with ScriptedServer([], models=["m"]) as server:
                live = server.base_url.split(":")[2].split("/")[0]
                start = loop.time()
                found = await find_servers(client, [port, "1", live], timeout_s=0.3)
                return found, loop.time() - start
        finally:
            await client.close()
            silent.close()

    found, took = asyncio.run(asyncio.wait_for(main(), 10))
    assert [m.name for server in found for m in server.models] == ["m"]
    assert took < 2


@pytest.mark.parametrize(
    ("provider", "wire"),
    [(OPENAI_COMPATIBLE, "chat"), (ANTHROPIC, "anthropic"), (GOOGLE, "google")],
)
def test_each_service_lists_its_models_in_its_own_way(provider, wire):
    async def main():
        client = Client(offline=True)
        async with ScriptedServer([], models=["one", "two"]) as server:
            url = server.address(wire)
            found = await list_models(client, url, api_key=KEY, timeout_s=5, provider=provider)
        await client.close()
        return [model.name for model in found.models]

    assert asyncio.run(main()) == ["one", "two"]
