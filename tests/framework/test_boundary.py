"""Who may use models, agents and messages from Lua code, and what is left behind."""

import asyncio

import pytest

from micro_agi.errors import EntryInvalid, EntryNotFound, LimitReached, ToolFailed
from micro_agi.framework.stream import Streamer
from micro_agi.messages import TextDelta
from micro_agi.sandbox.host.calls import Frame
from micro_agi.sandbox.host.process import Mail, Mailbox, Mailboxes, process_functions
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.unit import Unit
from micro_agi.security.actor import Actor
from micro_agi.security.context import CallContext, Trial, root_context
from micro_agi.security.policy import Policy, Scope
from micro_agi.testing.sandbox import LuaBench
from tests.framework.lua_app import IMPORTS, lua_app
from tests.framework.test_seed_agents import AGENTS, LOADED, STREAM_STEP
from tests.tools.app_bench import denying

WRITER = Scope((Policy(id="test:all", effect="allow"),))


@pytest.fixture(scope="module", autouse=True)
def agents_fixture(shared):
    shared.define(*AGENTS)


def generated(app, source, **data):
    """Write a tool as the gate does, and call it as an agent would."""
    entry = {
        "id": "app.generated:sly",
        "kind": "function.lua",
        "meta": {"type": "tool"},
        "data": {"source": source, "method": "handler", "modules": [], **data},
    }
    app.define(entry)
    try:
        context = CallContext(actor=Actor("agent:app:assistant"), scope=WRITER)
        return app.wait(app.runtime.call("app.generated:sly", {}, context=context))
    finally:
        app.remove("app.generated:sly")


@pytest.mark.requirement("003/lua/no-grant")
@pytest.mark.parametrize("module", ["llm", "agents"])
def test_a_generated_tool_cannot_be_granted_models_or_agents(app, module):
    with pytest.raises(EntryInvalid, match="is not one that tools may use"):
        generated(app, "return { handler = function() end }", modules=[module])


@pytest.mark.requirement("003/lua/no-grant")
@pytest.mark.parametrize("library", sorted(set(IMPORTS) - {"prompt"}))
def test_a_generated_tool_cannot_import_what_has_effects(app, library):
    with pytest.raises(EntryInvalid, match="which has modules it lacks"):
        generated(app, "return { handler = function() end }", imports={"x": IMPORTS[library]})


def test_a_generated_tool_may_build_conversations(app):
    source = "return { handler = function() return #prompt.new():add_user('x'):get_messages() end }"
    imports = {"prompt": IMPORTS["prompt"]}
    assert generated(app, source, modules=["json"], imports=imports) == 1
    with pytest.raises(ToolFailed, match="nil value"):
        generated(app, "return { handler = function() return llm.generate('x') end }")


@pytest.mark.requirement("003/lua/policy")
def test_a_policy_can_take_agents_and_their_models_away(app):
    body = """
local ctx = agent_context.new()
local _, loading = ctx:load_agent("app:assistant")
local _, named = ctx:load_agent("assistant")
local _, current = ctx:get_current_agent()
local _, unknown = ctx:load_agent("app:nobody")
local runner = ctx:load_agent("app:specialist")
local _, stepping = runner and runner:step("hi")
return { loading:kind(), named:kind(), current:kind(), unknown:kind(), stepping
    and stepping:kind() }
"""
    rules = [
        Policy(id="t:allow", effect="allow"),
        Policy(id="t:no", effect="deny", actions=("agent.load",), resources=("app:assistant",)),
    ]
    context = CallContext(actor=Actor("user:1"), scope=Scope(tuple(rules)))
    found = app.run(body, "hello", context=context)
    assert found == [*["PermissionDenied"] * 3, "NotFound"]
    models = Policy(id="t:no", effect="deny", actions=("llm.generate",), resources=("scripted",))
    context = CallContext(actor=Actor("user:1"), scope=Scope((rules[0], models)))
    body = "local _, err = agent_context.new():load_agent('app:specialist') return err:kind()"
    assert app.run(body, context=context) == "PermissionDenied"
    assert app.model.requests == []


@pytest.mark.requirement("003/lua/authority")
def test_an_agent_that_lua_code_loads_has_no_more_than_its_caller(app):
    """A trait's function reads what the agent's own policies allow and the caller's deny."""
    source = """return { handler = function()
      local entry, err = registry.get("app:secret")
      return entry and "I know it" or tostring(err)
    end }"""
    app.define(
        {"id": "app:secret", "kind": "registry.entry", "data": {}},
        {
            "id": "app:read",
            "kind": "function.lua",
            "data": {"source": source, "modules": ["registry"], "method": "handler"},
        },
        {
            "id": "app:reads",
            "kind": "registry.entry",
            "meta": {"type": "agent.trait", "name": "reads"},
            "data": {"prompt_func_id": "app:read"},
        },
        {
            "id": "app:may_read",
            "kind": "security.policy",
            "data": {"policy": {"actions": "*", "resources": "*", "effect": "allow"}},
        },
        {
            "id": "app:reader",
            "kind": "registry.entry",
            "meta": {"type": "agent.gen1", "name": "reader"},
            "data": {
                "prompt": "You read.",
                "traits": ["app:reads"],
                "security": {"policies": ["app:may_read"]},
            },
        },
    )
    body = "return agent_context.new():load_agent('app:reader'):step('hi').result"
    try:
        app.run(body, "ok", context=denying(("registry.get", "app:secret")))
        assert "not allowed to access entry: app:secret" in app.model.requests[0].system
        app.run(body, "ok", context=denying())
        assert "I know it" in app.model.requests[0].system
    finally:
        app.remove("app:reader", "app:may_read", "app:reads", "app:read", "app:secret")


@pytest.mark.requirement("003/lua/trial")
def test_nothing_is_asked_or_sent_in_a_trial(app):
    body = (
        "local first = llm.generate('x', { model = 'm' }) "
        "local second, err = llm.embed('x', { model = 'm' }) "
        "local _, loading = agent_context.new():load_agent('app:assistant') "
        "return { first.result, err:message(), loading:message() }"
    )
    trial = Trial(host={"llm.generate": {"result": "canned"}})
    context = CallContext(actor=Actor("agent:x"), scope=WRITER, trial=trial)
    assert app.run(body, context=context) == [
        "canned",
        "`llm.embed` is not available in a trial",
        "`agents.load` is not available in a trial",
    ]
    assert app.model.requests == []


@pytest.mark.requirement("003/lua/no-leak")
def test_agents_end_with_the_call_that_made_them(app):
    frames, mailboxes = app.runtime.frames, app.runtime.mailboxes
    during = []
    body = LOADED + "process.listen('x') local r = runner:step(conversation) error('over')"
    with pytest.raises(ToolFailed, match="over"):
        app.run(body, lambda asked: during.append((len(frames), len(mailboxes))) or "hello")
    assert during == [(1, 1)]
    assert (len(frames), len(mailboxes)) == (0, 0)


@pytest.mark.requirement("003/lua/no-leak")
def test_a_number_of_another_call_means_nothing(app):
    body = "return { runner = agent_context.new():load_agent('app:assistant').runner }"
    number = app.run(body)["runner"]
    forged = f"""
local real = agent_context.new():load_agent('app:specialist')
local fake = setmetatable({{ runner = {number} + 1 }}, getmetatable(real))
local _, err = fake:step("hi")
return err and err:message() or real.runner
"""
    assert app.run(forged, "x") == "this runner does not belong to the running call"
    endless = "for n = 1, 300 do agent_context.new() end"
    with pytest.raises(ToolFailed, match="more than 200 agents in one call"):
        app.run(endless)


@pytest.mark.requirement("003/lua/cancel")
def test_a_call_that_is_cancelled_ends_its_model_call(app):
    """A worker that is stopped takes its agents, its mailbox and its request along."""
    entered, ended = asyncio.Event(), asyncio.Event()

    async def hang(asked):
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def cancelled(entry_id):
        call = asyncio.create_task(app.runtime.call(entry_id, {}))
        async with asyncio.timeout(5):
            await entered.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        async with asyncio.timeout(5):
            await ended.wait()

    app.script[:] = [hang]
    source = f"return {{ handler = function(args) {LOADED} return runner:step(conversation) end }}"
    app.wait(cancelled(app.function(source)))
    assert len(app.runtime.frames) == 0


def test_messages_reach_calls_of_the_same_session_only():
    mailboxes = Mailboxes()
    lua = LuaBench(host=process_functions(mailboxes))
    try:
        body = """return function()
          local chunks, inbox = process.listen("t"), process.inbox()
          local pid = process.pid()
          process.send(pid, "t", { n = 1 })
          process.send(pid, "other", "a", "b")
          process.send(pid, "t", 2)
          local message = inbox:receive()
          local first, second = chunks:receive(), chunks:receive()
          local stopped = process.unlisten(chunks)
          local same = process.listen("t") == process.listen("t")
          local _, bad = process.listen("@x")
          local _, gone = process.send("{local@micro-agi|0}", "t", 1)
          return { first.n, second, message:topic(), message:payload():data(),
              message:from() == pid,
            stopped, same, bad:kind(), gone:kind(), (process.unlisten(chunks)) }
        end"""
        found = lua.run(body)
        assert found == [
            *(1, 2, "other", ["a", "b"], True),
            *(True, True, "Invalid", "NotFound", False),
        ]
        with pytest.raises(ToolFailed, match=r"`process\.spawn` is not available yet"):
            lua.run("return function() process.spawn('x') end")
        flood = """return function()
          for n = 1, 2000 do
            local sent, err = process.send(process.pid(), "t", n)
            if err then return { n, err:message() } end
          end
        end"""
        number, said = lua.run(flood, limits=Limits(wall_s=5.0, host_calls=5000))
        assert number == 1001
        assert "is full" in said
    finally:
        lua.close()


def test_a_mailbox_is_found_by_its_own_session_alone():
    def frame(session):
        return Frame(
            unit=Unit(id="test:unit", source=""),
            context=root_context(session=session),
            limits=Limits(),
            granted=frozenset(),
            started=0.0,
            ends=1.0,
        )

    mailboxes = Mailboxes()
    mine = frame("s1")
    pid = mailboxes.of(mine).pid
    assert mailboxes.find(pid, root_context(session="s1")).pid == pid
    with pytest.raises(EntryNotFound, match="no process"):
        mailboxes.find(pid, root_context(session="s2"))
    for end in mine.at_end:
        end()
    with pytest.raises(EntryNotFound, match="no process"):
        mailboxes.find(pid, root_context(session="s1"))
    box = Mailbox("p", "s")
    with pytest.raises(LimitReached):
        box.post(Mail(topic="t", sender="p", value="x" * (2 << 20)))


@pytest.mark.requirement("003/lua/streaming")
def test_another_call_can_be_the_receiver_and_a_slow_one_gets_longer_chunks(app):
    sender = app.function(
        "return { handler = function(args) "
        + LOADED
        + "local target = { reply_to = args.pid, topic = 's' } "
        "local r = runner:step(conversation, { stream_target = target }) "
        "return r.result end }"
    )
    body = f"""
local chunks = process.listen("s")
local future = funcs.async("{sender}", {{ pid = process.pid() }})
future:response():receive()
local types, text = {{}}, ""
while true do
    local chunk = chunks:receive()
    types[#types + 1] = chunk.type
    text = text .. (chunk.content or "")
    if chunk.type == "done" then return {{ types = types, length = #text }} end
end
"""
    found = app.run(body, ["word "] * 3000)
    assert found["length"] == 15000
    assert len(found["types"]) < 100
    assert found["types"][-1] == "done"


@pytest.mark.requirement("003/lua/streaming")
def test_an_answer_never_overtakes_its_chunks(app):
    body = (
        STREAM_STEP
        + LOADED
        + """
local text, response = stream_step(runner, conversation)
return { #text, text == response.result }
"""
    )
    # More than one frame to the worker holds beside the answer itself.
    assert app.run(body, ["word " * 1000] * 80) == [400_000, True]


@pytest.mark.requirement("003/lua/streaming")
def test_a_stream_ends_when_its_receiver_has_all_of_it_or_is_gone():
    async def ended(listens, leave):
        box = Mailbox("p", "s")
        if listens:
            box.listen("t")
        stream = Streamer(box, "t", "me")
        stream(TextDelta(text="a"))
        stream(TextDelta(text="b"))
        done = asyncio.create_task(stream.done((), {"finish_reason": "stop"}))
        await asyncio.sleep(0)
        waited = not done.done()
        leave(box)
        async with asyncio.timeout(5):
            await done
        return waited

    assert asyncio.run(ended(True, lambda box: box.take())) is True
    assert asyncio.run(ended(True, lambda box: box.unlisten("t"))) is True
    assert asyncio.run(ended(True, lambda box: box.close())) is True
    assert asyncio.run(ended(False, lambda box: None)) is False


@pytest.mark.requirement("003/lua/no-leak")
def test_functions_of_a_loaded_agent_need_no_free_place_in_the_pool():
    """Resolver, trait, memory and usage tracker run while the caller holds the only place."""

    def function(name, body):
        source = f"return {{ handler = function(args) {body} end }}"
        data = {"source": source, "method": "handler"}
        return {"id": f"app:{name}", "kind": "function.lua", "data": data}

    def binding(name, contract, method, target):
        bound = {"contract": contract, "default": True, "methods": {method: target}}
        return {"id": f"app:{name}", "kind": "contract.binding", "data": {"contracts": [bound]}}

    spec = "{ id = args.agent_id, name = 'made', prompt = 'Hello.', model = 'm', "
    spec += "traits = { 'app:shouts' }, memory_contract = { implementation_id = 'app:recall' } }"
    with lua_app(workers=1) as app:
        app.define(
            function("resolve", f"if args.agent_id:sub(1, 7) == 'custom:' then return {spec} end"),
            function("shout", "return 'SHOUT.'"),
            function("recall", "return { memories = { { id = 'm', content = 'tea' } } }"),
            function("track", "return 'ledger'"),
            binding("resolves", "wippy.agent:resolver", "resolve", "app:resolve"),
            binding("tracks", "wippy.llm:usage_tracker", "track_usage", "app:track"),
            {
                "id": "app:shouts",
                "kind": "registry.entry",
                "meta": {"type": "agent.trait", "name": "shouts"},
                "data": {"prompt_func_id": "app:shout"},
            },
        )
        body = """
local runner, err = agent_context.new():load_agent("custom:one")
if err then return nil, err end
local response = runner:step(prompt.with_system("x"):add_user("y"))
return { runner.name, response.usage_record.usage_id, response.memory_recall.count }
"""
        assert app.run(body, "ok") == ["made", "ledger", 1]
        assert app.model.requests[0].system == "Hello.\n\nSHOUT."
