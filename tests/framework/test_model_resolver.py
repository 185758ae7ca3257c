"""The app's own resolver of models: what it gets, in which order, and what its errors do."""

import asyncio
from tempfile import TemporaryDirectory

import pytest

from micro_agi.app import Parts, Runtime
from micro_agi.errors import (
    EntryInvalid,
    InputInvalid,
    MicroAgiError,
    PolicyDenied,
    ToolFailed,
)
from micro_agi.registry.entry import from_dict
from micro_agi.settings import load
from micro_agi.testing.model_server import Reply, ScriptedServer
from micro_agi.testing.scripted import PROVIDER, ScriptedModel, scripted_card
from tests.agent.playing import agent, binding, lua

CONTRACT = "wippy.llm:model_resolver"
BOUND = binding("models", CONTRACT, resolve="resolve")
CARD = {"name": "hers", "max_tokens": 9000, "providers": [{"id": PROVIDER}]}


def opened(use, *entries, resolve=None, says=("hi",), **settings):
    """Run `use(runtime)` with entries; `resolve(name, user)` is the resolver, without a worker.

    Return what it returns, the model's requests, and what the resolver was asked.
    """
    asked = []

    async def native(arguments, context):
        asked.append(arguments["model"])
        return resolve(arguments["model"], context.values.get("user_id"))

    async def scenario(home):
        model = ScriptedModel(list(says))
        loaded = load(flags={"home": home, "local_ports": "1", **settings})
        parts = Parts(providers={PROVIDER: model}, offline=True)
        async with await Runtime.open(loaded, parts=parts) as runtime:
            if resolve:
                function = {"kind": "function.native", "data": {"target": "resolve"}}
                runtime.registry.mount([from_dict({"id": "app:resolve", "meta": {}, **function})])
                runtime.functions.register("resolve", native)
            changes = runtime.registry.snapshot().changes()
            for entry in entries:
                changes.create(entry)
            if entries:
                await changes.apply(runtime.root())
            return await use(runtime), model.requests, asked

    with TemporaryDirectory(prefix="micro-agi-") as home:
        return asyncio.run(scenario(home))


async def generate(runtime, model="smart", **options):
    return await runtime.llm.generate("hello", model=model, **options)


@pytest.mark.requirement("003/llm/model-resolver")
def test_an_agent_runs_on_the_model_that_the_app_gives_its_user():
    async def use(runtime):
        cards = []
        for user in ("ada", "bob"):
            session = await runtime.session(None, agent="app:a", context={"user_id": user})
            assert (await session.run("go", lambda _: None)).text == "hi"
            cards.append(session.agent.get_current_agent().card)
        return cards

    def resolve(name, user):
        return {**CARD, "name": f"of-{user}"} if name == "custom" else None

    a = agent("a", model="custom")
    (ada, bob), requests, asked = opened(use, BOUND, a, resolve=resolve, says=["hi", "hi"])
    assert (ada.name, ada.max_tokens, bob.name) == ("of-ada", 9000, "of-bob")
    assert [r.model.name for r in requests] == ["of-ada", "of-bob"]
    assert set(asked) == {"custom"}


@pytest.mark.requirement("003/llm/model-resolver")
@pytest.mark.parametrize(
    ("answer", "wanted", "used"),
    [
        (CARD, "gpt-5.1", "hers"),  # before an entry of that name
        ({**CARD, "name": None}, "class:fast", "class:fast"),
        ("scripted", "smart", "scripted"),  # the name of another model
        ({"name": "scripted"}, "smart", "scripted"),  # a card as `models.get_by_name` gives it
        (None, "scripted", "scripted"),  # nothing: the entries
    ],
)
def test_it_is_asked_first_and_may_give_a_card_a_name_or_nothing(answer, wanted, used):
    known = scripted_card()
    meta = {"type": "llm.model", "name": known.name}
    data = {"max_tokens": 1000, "providers": [{"id": PROVIDER}]}
    entry = {"id": "app:known", "kind": "registry.entry", "meta": meta, "data": data}
    if isinstance(answer, dict):
        answer = {k: v for k, v in answer.items() if v is not None}
    _, (request,), asked = opened(
        lambda rt: generate(rt, wanted), BOUND, entry, resolve=lambda *_: answer
    )
    assert (request.model.name, asked) == (used, [wanted])


@pytest.mark.requirement("003/llm/model-resolver")
def test_a_name_given_for_all_is_what_it_is_asked_for():
    _, (request,), asked = opened(generate, BOUND, resolve=lambda *_: CARD, model="mine")
    assert (request.model.name, asked) == ("hers", ["mine"])


@pytest.mark.requirement("003/llm/model-resolver")
def test_a_server_that_a_person_gave_is_not_left_for_its_answer():
    with ScriptedServer([Reply(text="from there")], models=("m",)).in_thread() as server:
        url = server.base_url
        reply, _, asked = opened(generate, BOUND, resolve=lambda *_: CARD, base_url=url, model="m")
    assert (reply.text, asked) == ("from there", [])


@pytest.mark.requirement("003/llm/model-resolver-errors")
@pytest.mark.parametrize(
    ("answer", "kind", "what"),
    [
        (7, EntryInvalid, "the resolver returned a int"),
        ({**CARD, "pricing": {"input": "dear"}}, EntryInvalid, "`data.pricing.input` does not fit"),
        ({**CARD, "providers": "all"}, EntryInvalid, "`data.providers` does not fit"),
        ("gpt-5.11", InputInvalid, "no model or class is called `gpt-5.11`"),
        ({"name": "gpt-5.11"}, InputInvalid, "no model or class is called `gpt-5.11`"),
    ],
)
def test_an_answer_that_is_no_model_is_an_error(answer, kind, what):
    with pytest.raises(kind, match=f"failed to resolve model `smart`: .*{what}") as error:
        opened(generate, BOUND, resolve=lambda *_: answer)
    assert error.value.fix


@pytest.mark.requirement("003/llm/model-resolver-errors")
def test_an_error_of_the_resolver_is_final():
    """An entry has the name too: falling back could send it where nobody wanted it."""

    def down(*_):
        raise ToolFailed("the database is down")

    with pytest.raises(
        ToolFailed, match=r"failed to resolve model `gpt-5\.1`: the database is down"
    ):
        opened(lambda rt: generate(rt, "gpt-5.1"), BOUND, resolve=down, api_key="k")


@pytest.mark.requirement("003/llm/model-resolver-errors")
@pytest.mark.parametrize(
    ("bound", "what"),
    [
        (binding("models", CONTRACT, other="resolve"), "binds no method `resolve`"),
        (binding("models", CONTRACT, resolve="gone"), "entry not found: app:gone"),
    ],
)
def test_a_binding_that_cannot_be_used_is_an_error(bound, what):
    with pytest.raises(EntryInvalid, match=f"failed to open model resolver: .*{what}"):
        opened(generate, bound)


def test_a_binding_that_an_agent_could_have_written_does_not_count():
    bound = {**BOUND, "id": "app.generated:models"}
    with pytest.raises(InputInvalid, match="no model or class is called `smart`"):
        opened(generate, bound, resolve=lambda *_: CARD)


APP = """
namespace: app
entries:
  - name: models
    kind: contract.binding
    contracts:
      - {contract: "wippy.llm:model_resolver", default: true, methods: {resolve: resolve}}
"""


def test_of_an_app_that_nobody_trusts_no_resolver_runs(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "_index.yaml").write_text(APP, "utf-8")
    with pytest.raises(PolicyDenied, match="this app is not trusted"):
        opened(generate, resolve=lambda *_: CARD, app=str(tmp_path))


ASKS_ITSELF = """
    local llm = require('llm')
    local args = ...
    local reply, err = llm.generate('which?', { model = args.model })
    if err then return nil, err end
    return { name = reply.result, providers = { { id = 'scripted' } } }
"""


@pytest.mark.requirement("003/llm/model-resolver")
def test_a_resolver_in_lua_needs_no_free_place_and_does_not_ask_itself():
    resolver = lua("resolve", ASKS_ITSELF)
    resolver["data"] |= {"modules": ["ctx"], "imports": {"llm": "wippy.llm:llm"}}
    caller = lua("caller", "return require('llm').generate('hello', { model = 'scripted' }).result")
    caller["data"] |= {"modules": ["ctx"], "imports": {"llm": "wippy.llm:llm"}}
    meta = {"type": "llm.model", "name": "scripted"}
    data = {"max_tokens": 1000, "providers": [{"id": PROVIDER}]}
    known = {"id": "app:known", "kind": "registry.entry", "meta": meta, "data": data}
    answer, requests, _ = opened(
        lambda rt: rt.call("app:caller"),
        *(BOUND, resolver, caller, known),
        says=["chosen-by-itself", "done"],
        workers=1,
    )
    assert answer == "done"
    assert [r.model.name for r in requests] == ["scripted", "chosen-by-itself"]


GATEWAY = {
    "id": "app:gateway",
    "kind": "registry.entry",
    "meta": {"type": "llm.provider"},
    "data": {"driver": {"id": "wippy.llm.openai_compat:provider"}},
}


@pytest.mark.requirement("003/llm/provider-id")
def test_a_provider_can_be_named_with_the_name_it_knows_a_model_by():
    """No resolver, no entry of the model: the name goes there as it is."""
    with ScriptedServer([Reply(text="there")] * 2).in_thread() as server:
        options = {"options": {"base_url": server.base_url}}
        gateway = {**GATEWAY, "data": {"driver": GATEWAY["data"]["driver"] | options}}
        body = "local r, e = require('llm').generate('hello', "
        body += "{ model = 'gpt-5.1', provider_id = 'app:gateway' }) return r.result"
        caller = lua("caller", body)
        caller["data"] |= {"modules": ["ctx"], "imports": {"llm": "wippy.llm:llm"}}

        async def use(runtime):
            reply = await generate(runtime, "gpt-5.1", provider_id="app:gateway")
            return reply.text, await runtime.call("app:caller")

        found, _, asked = opened(use, BOUND, gateway, caller, resolve=lambda *_: CARD)
    assert (found, asked) == (("there", "there"), [])
    assert [r.body["model"] for r in server.received] == ["gpt-5.1"] * 2
    assert server.received[0].headers.get("Authorization") is None


@pytest.mark.requirement("003/llm/provider-id")
@pytest.mark.parametrize(
    ("provider", "what", "fix"),
    [
        ("app:gatway", "Provider not found: app:gatway", "app:gateway"),
        ("wippy.llm.claude:provider", "no way to reach the provider", "set ANTHROPIC_API_KEY"),
        ("app:gateway", "no way to reach the provider", "base_url"),
        (7, "`provider_id` is no text", "give an id"),
    ],
)
def test_a_provider_that_cannot_be_used_says_why(provider, what, fix):
    with pytest.raises(MicroAgiError, match=what) as error:
        opened(lambda rt: generate(rt, "m", provider_id=provider), GATEWAY)
    assert fix in error.value.fix


def test_a_server_that_a_person_gave_is_not_left_for_a_provider():
    with ScriptedServer([Reply(text="from there")], models=("m",)).in_thread() as server:
        settings = {"base_url": server.base_url, "model": "m"}
        claude = "wippy.llm.claude:provider"
        reply, _, _ = opened(lambda rt: generate(rt, "c", provider_id=claude), **settings)
    assert reply.text == "from there"
