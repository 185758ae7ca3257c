"""The app's own resolver: what it gets, in which order, and what its errors do."""

import asyncio

import pytest

from micro_agi.errors import EntryInvalid, EntryNotFound, InputInvalid, ToolFailed
from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import ToolCallFinished, Warned
from tests.agent.playing import agent, binding, lua, playing, turn

RESOLVER = binding("resolver", "wippy.agent:resolver", resolve="resolve")
OWN = agent("own")
OF_USER = """
    local args = ...
    if args.agent_id ~= 'custom:helper' then return nil end
    return { id = args.agent_id, prompt = 'You help ' .. ctx.get('user_id') .. '.', model = 'm' }
"""


def load(wanted, *entries, values=None, resolve=None):
    """Load an agent; `resolve(agent_id)` is the app's resolver, without a worker."""

    async def native(arguments, _):
        return resolve(arguments["agent_id"])

    native.__name__ = "resolve"

    async def scenario():
        natives = [native] if resolve else []
        async with playing(["hi"], *entries, natives=natives) as played:
            context = played.runtime.agent_context(context=values)
            runner = await context.load_agent(wanted)
            return runner.compiled

    return asyncio.run(scenario())


@pytest.mark.requirement("003/resolver/first", "003/resolver/database")
def test_the_resolver_is_asked_first_and_sees_whose_context_it_is():
    entries = (RESOLVER, lua("resolve", OF_USER))
    compiled = load("custom:helper", *entries, values={"user_id": "ada"})
    assert (compiled.spec.id, compiled.system) == ("custom:helper", "You help ada.")


@pytest.mark.requirement("003/resolver/first")
def test_the_resolver_goes_before_an_entry_of_that_id():
    compiled = load("app:own", RESOLVER, OWN, resolve=lambda _: {"prompt": "resolved"})
    assert (compiled.spec.id, compiled.system) == ("app:own", "resolved")


@pytest.mark.requirement("003/resolver/fallback")
@pytest.mark.parametrize("wanted", ["app:own", "own"])
def test_nothing_from_the_resolver_leaves_it_to_the_registry_by_id_then_by_name(wanted):
    assert load(wanted, RESOLVER, OWN, resolve=lambda _: None).system == "You are own."


@pytest.mark.requirement("003/resolver/fallback")
def test_an_id_goes_before_a_name():
    named_so = agent("z", meta={"name": "app:own"})
    assert load("app:own", OWN, named_so).spec.id == "app:own"


@pytest.mark.requirement("003/resolver/unknown")
def test_an_agent_that_nobody_knows_is_an_error_with_the_nearest():
    with pytest.raises(EntryNotFound, match="No agent found with ID: app:onw") as error:
        load("app:onw", RESOLVER, OWN, resolve=lambda _: None)
    assert "app:own" in error.value.fix


@pytest.mark.requirement("003/resolver/errors")
@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (7, "the resolver returned a int"),
        ({"prompt": 7}, "`prompt` of agent `app:own` is a int"),
        ({"tools": "all"}, "`tools` of agent `app:own` is a str"),
    ],
)
def test_a_resolver_that_returns_no_definition_is_an_error(answer, what):
    with pytest.raises(EntryInvalid, match=what):
        load("app:own", RESOLVER, OWN, resolve=lambda _: answer)


@pytest.mark.requirement("003/resolver/errors")
def test_an_error_of_the_resolver_is_final():
    down = lua("resolve", "return nil, 'database is down'")
    with pytest.raises(ToolFailed, match="failed to resolve agent: database is down") as error:
        load("app:own", RESOLVER, down, OWN)
    assert error.value.fix == ""


def test_a_resolver_that_knows_no_such_agent_is_helped_out_with_the_nearest():
    unknown = lua("resolve", "return nil, 'No agent found with name: app:onw'")
    with pytest.raises(ToolFailed, match="No agent found with name: app:onw") as error:
        load("app:onw", RESOLVER, unknown, OWN)
    assert "app:own" in error.value.fix


@pytest.mark.requirement("003/resolver/errors")
@pytest.mark.parametrize(
    ("bound", "what"),
    [
        (binding("resolver", "wippy.agent:resolver", other="resolve"), "binds no method `resolve`"),
        (binding("resolver", "wippy.agent:resolver", resolve="gone"), "entry not found: app:gone"),
    ],
)
def test_a_binding_that_cannot_be_used_is_an_error(bound, what):
    with pytest.raises(EntryInvalid, match=f"failed to open agent resolver: .*{what}"):
        load("app:own", bound, OWN)


@pytest.mark.requirement("003/resolver/errors")
def test_a_binding_without_a_default_is_an_error():
    bound = binding("resolver", "wippy.agent:resolver", resolve="resolve")
    del bound["data"]["contracts"][0]["default"]
    with pytest.raises(EntryInvalid, match="no default binding among app:resolver"):
        load("app:own", bound, OWN, resolve=lambda _: None)


def test_a_binding_that_an_agent_could_have_written_does_not_count():
    bound = {**RESOLVER, "id": "app.generated:resolver"}
    assert load("app:own", bound, OWN, resolve=lambda _: 7).spec.id == "app:own"


def test_the_resolver_itself_may_do_nothing():
    body = "local r = require('registry') local c = r.snapshot():changes() "
    body += "c:delete('app:own') local _, e = c:apply() return nil, tostring(e)"
    writer = lua("resolve", body)
    writer["data"]["modules"] = ["ctx", "registry"]
    with pytest.raises(ToolFailed, match="not allowed"):
        load("app:own", RESOLVER, writer, OWN)


@pytest.mark.requirement("003/resolver/database")
def test_a_session_has_its_users_agent_and_goes_on_with_it():
    async def scenario():
        async with playing(["one", "two"], RESOLVER, lua("resolve", OF_USER)) as played:
            for text in ("1", "2"):
                who = {"user_id": "ada"}
                session = await played.runtime.session("s", agent="custom:helper", context=who)
                finished = await session.run(text, lambda _: None)
                assert finished.outcome == "answered"
            return [r.system for r in played.model.requests], session.conversation.agent

    systems, name = asyncio.run(scenario())
    assert (systems, name) == (["You help ada."] * 2, "custom:helper")


def test_a_delegate_may_be_an_agent_that_only_the_resolver_knows():
    boss = agent("a", delegates=[{"id": "custom:helper", "name": "ask"}])

    def script(asked):
        if "help" in asked.request.system:
            return "from the helper"
        return "fine" if asked.last.role == "tool" else Call("ask", {"message": "x"})

    async def scenario():
        async with playing(script, boss, RESOLVER, lua("resolve", OF_USER)) as played:
            return await turn(played.runtime, user_id="ada")

    _, events = asyncio.run(scenario())
    (result,) = [e for e in events if isinstance(e, ToolCallFinished)]
    assert result.content == "from the helper"
    assert [e for e in events if isinstance(e, Warned)] == []


@pytest.mark.parametrize("wanted", [None, 7])
def test_something_that_names_no_agent_is_refused(wanted):
    with pytest.raises(InputInvalid, match="Agent spec or identifier is required"):
        load(wanted)
