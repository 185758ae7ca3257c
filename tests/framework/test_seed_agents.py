"""The Lua snippets of requirement document 003 (agents) run as an app's entries."""

import pytest

from micro_agi.llm.failure import provider_error
from micro_agi.llm.providers.scripted import Call, Thinking

CALCULATE = """
local expr = require("expr")

local function handler(args)
    local result, err = expr.eval(args.expression)
    if err then
        return { error = tostring(err) }
    end
    return { result = result }
end

return { handler = handler }
"""
AGENTS = (
    {
        "id": "app:assistant",
        "kind": "registry.entry",
        "meta": {"type": "agent.gen1", "name": "assistant", "class": ["helper"]},
        "data": {
            "prompt": "You are a helpful assistant.",
            "model": "gpt-4o",
            "max_tokens": 1024,
            "temperature": 0.7,
            "tools": ["app.tools:calculate"],
        },
    },
    {
        "id": "app:specialist",
        "kind": "registry.entry",
        "meta": {"type": "agent.gen1", "name": "specialist", "class": "helper"},
        "data": {"prompt": "You know it all.", "model": "gpt-4o"},
    },
    {
        "id": "app.tools:calculate",
        "kind": "function.lua",
        "meta": {
            "type": "tool",
            "title": "Calculate",
            "llm_alias": "calculate",
            "llm_description": "Evaluate a mathematical expression.",
            "input_schema": {
                "type": "object",
                "properties": {"expression": {"type": "string"}},
                "required": ["expression"],
                "additionalProperties": False,
            },
        },
        "data": {"source": CALCULATE, "modules": ["expr"], "method": "handler"},
    },
    {
        "id": "app.tools:search",
        "kind": "function.lua",
        "meta": {"type": "tool", "llm_alias": "search", "exclusive": True, "tags": ["web"]},
        "data": {
            "source": "return { handler = function() return { found = ctx.all() } end }",
            "modules": ["ctx"],
            "method": "handler",
        },
    },
)
LOADED = """
local ctx = agent_context.new()
local runner, err = ctx:load_agent("app:assistant")
if err then
    error("Failed to load agent: " .. tostring(err))
end
local conversation = prompt.new()
conversation:add_user("What is the capital of France?")
"""
EXECUTE_AND_CONTINUE = """
local json = require("json")
local funcs = require("funcs")

local function execute_and_continue(runner, conversation)
    while true do
        local response, err = runner:step(conversation)
        if err then return nil, err end

        local tool_calls = response.tool_calls
        if not tool_calls or #tool_calls == 0 then
            return response.result, nil
        end

        for _, tc in ipairs(tool_calls) do
            local result, call_err = funcs.call(tc.registry_id, tc.arguments)

            local result_str
            if call_err then
                result_str = json.encode({ error = tostring(call_err) })
            else
                result_str = json.encode(result)
            end

            conversation:add_function_call(tc.name, tc.arguments, tc.id)
            conversation:add_function_result(tc.name, result_str, tc.id)
        end
    end
end
"""
STREAM_STEP = """
local TOPIC = "agent_stream"
local written = {}
local io = { write = function(text) written[#written + 1] = text end }

local function stream_step(runner, conversation)
    local stream_ch = process.listen(TOPIC)
    local done_ch = channel.new(1)

    coroutine.spawn(function()
        local response, err = runner:step(conversation, {
            stream_target = {
                reply_to = process.pid(),
                topic = TOPIC,
            },
        })
        done_ch:send({ response = response, err = err })
    end)

    local full_text = ""
    while true do
        local result = channel.select({
            stream_ch:case_receive(),
            done_ch:case_receive(),
        })
        if not result.ok then break end

        if result.channel == done_ch then
            process.unlisten(stream_ch)
            local r = result.value
            return full_text, r.response, r.err
        end

        local chunk = result.value
        if chunk.type == "chunk" then
            io.write(chunk.content or "")
            full_text = full_text .. (chunk.content or "")
        elseif chunk.type == "done" then
            -- wait for the step to complete
            local r, ok = done_ch:receive()
            process.unlisten(stream_ch)
            if ok and r then
                return full_text, r.response, r.err
            end
            return full_text, nil, nil
        end
    end
    process.unlisten(stream_ch)
    return full_text, nil, nil
end
"""


@pytest.fixture(scope="module", autouse=True)
def agents_fixture(shared):
    shared.define(*AGENTS)


@pytest.mark.requirement("003/lua/load", "003/lua/step", "003/context/lua", "003/step/lua")
def test_an_agent_is_loaded_and_runs_a_step(app):
    body = (
        LOADED
        + """
local response, err = runner:step(conversation)
if err then
    error(tostring(err))
end
return { response = response, same = ctx:get_current_agent().id == runner.id }
"""
    )
    found = app.run(body, "Paris.")
    assert found["same"] is True
    response = found["response"]
    assert response["result"] == "Paris."
    assert response["finish_reason"] == "stop"
    assert "tool_calls" not in response
    assert set(response["tokens"]) >= {"prompt_tokens", "completion_tokens", "total_tokens"}
    (asked,) = app.model.requests
    assert asked.system == "You are a helpful assistant."
    assert asked.messages[0].text == "What is the capital of France?"
    assert [tool.name for tool in asked.tools] == ["calculate"]
    assert (asked.options.max_tokens, asked.options.temperature) == (1024, 0.7)


@pytest.mark.requirement("003/lua/context-options", "003/lua/inline")
def test_an_agent_is_loaded_from_an_inline_definition(app):
    body = """
local ctx = agent_context.new({
    context = { session_id = "abc", user_id = "u1" },
    delegate_tools = { enabled = true },
})
local runner, err = ctx:load_agent({
    id = "inline-agent",
    name = "helper",
    prompt = "You are a helpful assistant.",
    model = "gpt-4o",
    max_tokens = 1024,
    tools = { "app.tools:search" },
})
local response = runner:step("find it", { context = { user_id = "u2" }, tool_call = "auto" })
local call = response.tool_calls[1]
local found = funcs.new():with_context(call.context):call(call.registry_id, {})
return { call = call, name = runner.name, found = found }
"""
    found = app.run(body, Call("search"))
    assert found["name"] == "helper"
    assert found["call"]["registry_id"] == "app.tools:search"
    assert found["call"]["arguments"] == {}
    assert found["found"]["found"]["session_id"] == "abc"


@pytest.mark.requirement("003/lua/tool-execution", "003/lua/tool-call-fields")
def test_the_documents_loop_executes_tools_and_goes_on(app):
    body = EXECUTE_AND_CONTINUE + LOADED + "return (execute_and_continue(runner, conversation))"
    both = [Call("calculate", {"expression": "6*7"}), Call("calculate", {"expression": "6*"})]
    assert app.run(body, both, lambda asked: asked.last.text).startswith('{"error":')
    first, second = (m for m in app.model.requests[1].messages if m.role == "tool")
    assert first.text == '{"result":42}'
    assert second.text.startswith('{"error":')
    calls = [m.tool_calls for m in app.model.requests[1].messages if m.tool_calls]
    assert [c.arguments for (c,) in calls] == ['{"expression":"6*7"}', '{"expression":"6*"}']
    assert [m.tool_call_id for m in (first, second)] == [c.id for (c,) in calls]


@pytest.mark.requirement("003/lua/streaming", "003/stream/lua")
def test_the_documents_streaming_shows_every_chunk_before_the_answer(app):
    body = (
        STREAM_STEP
        + LOADED
        + """
local text, response, err = stream_step(runner, conversation)
local again = stream_step(runner, conversation)
return { text = text, written = table.concat(written), result = response.result, again = again }
"""
    )
    says = [Thinking("hm"), "The capital ", "of France ", "is Paris."]
    found = app.run(body, says, "Still Paris.")
    assert found == {
        "text": "The capital of France is Paris.",
        "result": "The capital of France is Paris.",
        "written": "The capital of France is Paris.Still Paris.",
        "again": "Still Paris.",
    }


@pytest.mark.requirement("003/lua/stream-chunks")
def test_a_stream_has_the_documents_chunk_types_in_their_order(app):
    body = (
        LOADED
        + """
local chunks = process.listen("s")
local target = { reply_to = process.pid(), topic = "s" }
local response = runner:step(conversation, { stream_target = target })
local types = {}
while true do
    local chunk = chunks:receive()
    types[#types + 1] = chunk.type
    if chunk.type == "tool_call" then types[#types + 1] = chunk.arguments.expression end
    if chunk.type == "done" then break end
end
local _, err = runner:step(conversation, { stream_target = target })
local chunk = chunks:receive()
return { types = types, err = err:kind(), last = chunk }
"""
    )
    says = [Thinking("hm"), "Let me see. ", Call("calculate", {"expression": "1+1"})]
    found = app.run(body, says, provider_error("content_filtered", "no", where="scripted"))
    assert found["types"] == ["thinking", "chunk", "tool_call", "1+1", "done"]
    assert found["err"] == "Invalid"
    assert found["last"]["error"]["type"] == "content_filtered"


@pytest.mark.requirement("003/errors/cut-stream")
def test_a_step_whose_stream_is_cut_for_good_returns_what_came(app):
    body = LOADED + "local r, err = runner:step(conversation) return { r = r, err = err }"
    cut = provider_error("network_error", "it broke off", retry_after_s=0)
    found = app.run(body, ["Half ", cut], cut, cut, cut)
    assert "err" not in found
    assert (found["r"]["result"], found["r"]["finish_reason"]) == ("Half ", "cut")
    assert found["r"]["problem"]["what"] == "it broke off"
    assert "tool_calls" not in found["r"]


@pytest.mark.requirement("003/lua/delegates")
def test_delegates_added_at_run_time_are_calls_of_their_own(app):
    body = """
local ctx = agent_context.new()
ctx:add_delegates({
    { id = "app:specialist", name = "ask_specialist", rule = "for domain questions" },
})
local runner = ctx:load_agent("app:assistant")
local response = runner:step("why?", { context = { trace = "t1" } })
return response.delegate_calls[1]
"""
    found = app.run(body, Call("ask_specialist", {"message": "why?"}))
    assert found["agent_id"] == "app:specialist"
    assert (found["name"], found["arguments"]) == ("ask_specialist", {"message": "why?"})
    assert found["context"] == {
        "trace": "t1",
        "from_agent_id": "app:assistant",
        "to_agent_id": "app:specialist",
    }


@pytest.mark.requirement("003/lua/context-methods", "003/lua/stats")
def test_a_context_changes_while_it_runs(app):
    body = """
local ctx = agent_context.new()
local none, err = ctx:get_current_agent()
local facts = { none = none == nil, err = tostring(err) }
ctx:add_tools("app.tools:search"):update_context({ user_id = "u1" })
facts.missing = { ctx:switch_to_model("gpt-4o") }
local runner = ctx:load_agent("app:assistant")
runner:step("one")
facts.stats = runner:get_stats()
facts.switched = { ctx:switch_to_agent("app:specialist") }
facts.now = ctx:get_current_agent().id
facts.model = { ctx:switch_to_model("gpt-4o-mini") }
facts.unknown = { ctx:switch_to_agent("app:nobody") }
facts.still = ctx:get_current_agent().id
facts.config = ctx:get_config()
return facts
"""
    found = app.run(body, "first")
    assert found["none"] is True
    assert "No agent loaded" in found["err"]
    assert found["missing"][0] is False
    assert found["stats"]["id"] == "app:assistant"
    assert found["stats"]["total_tokens"]["total"] > 0
    assert [t.name for t in app.model.requests[0].tools] == ["calculate", "search"]
    assert found["switched"] == [True]
    assert found["now"] == found["still"] == "app:specialist"
    assert found["model"] == [True]
    assert found["unknown"][0] is False
    assert "app:nobody" in found["unknown"][1]
    assert found["config"]["additional_tools_count"] == 1


@pytest.mark.requirement("003/lua/memory")
def test_a_memory_contract_set_at_run_time_recalls(app):
    source = """return { handler = function(asked)
      return { memories = { { id = "m1", content = ctx.get("user_id") .. " likes tea" } } }
    end }"""
    app.define(
        {
            "id": "app:memory_store",
            "kind": "function.lua",
            "data": {"source": source, "modules": ["ctx"], "method": "handler"},
        }
    )
    body = """
local ctx = agent_context.new({ context = { user_id = "u1" } })
ctx:set_memory_contract({
    implementation_id = "app:memory_store",
    context = { user_id = "${user_id}" },
    options = { max_items = 5, max_length = 2000, recall_cooldown = 2,
        min_conversation_length = 2 },
})
local runner = ctx:load_agent("app:assistant")
local conversation = prompt.with_system("Be short."):add_user("What do I like?")
local response = runner:step(conversation)
local memory = response.memory_prompt
conversation:add_message(memory.role, memory.content, memory.name, memory.metadata)
conversation:add_assistant(response.result)
local again = runner:step(conversation)
return { recall = response.memory_recall, again = again.memory_recall }
"""
    found = app.run(body, "Tea.", "Tea.")
    assert found["recall"] == {"memory_ids": ["m1"], "count": 1}
    assert "again" not in found
    assert app.model.requests[0].messages[-1].role == "developer"
    assert "u1 likes tea" in app.model.requests[0].messages[-1].text


@pytest.mark.requirement("003/lua/resolver", "003/discovery/lua")
def test_the_documents_resolver_finds_definitions_with_the_discovery_library(app):
    body = """
local CUSTOM_PREFIX = "custom:"

function resolve(args)
    local agent_id = args.agent_id
    if not agent_id then
        return nil, "agent_id is required"
    end
    if agent_id:sub(1, #CUSTOM_PREFIX) == CUSTOM_PREFIX then
        return {
            id = agent_id,
            name = "custom-agent",
            prompt = "You are a custom agent.",
            model = "class:balanced",
            max_tokens = 1024,
            tools = {},
        }
    end
    -- fall back to registry
    local spec, err = agent_registry.get_by_id(agent_id)
    if not spec then
        spec, err = agent_registry.get_by_name(agent_id)
    end
    return spec, err
end
local of_class = agent_registry.list_by_class("helper")
return {
    custom = resolve({ agent_id = "custom:x" }).name,
    id = resolve({ agent_id = "app:assistant" }).prompt,
    name = resolve({ agent_id = "specialist" }).id,
    err = select(2, resolve({ agent_id = "nobody" })),
    class = #of_class,
}
"""
    assert app.run(body) == {
        "custom": "custom-agent",
        "id": "You are a helpful assistant.",
        "name": "app:specialist",
        "err": "No agent found with name: nobody",
        "class": 2,
    }


@pytest.mark.requirement("003/lua/context-options")
def test_without_enable_cache_no_service_is_told_to_cache(app):
    body = """
local kept = {}
for n, cached in ipairs({ true, false }) do
    local ctx = agent_context.new({ enable_cache = cached })
    ctx:load_agent("app:assistant"):step("x")
    kept[n] = ctx:get_config().cache_enabled
end
return kept
"""
    assert app.run(body, "a", "b") == [True, False]
    assert [r.model.options.get("cache", True) for r in app.model.requests] == [True, False]


@pytest.mark.requirement("003/lua/context-options")
def test_bad_options_say_which_there_are(app):
    body = """
local outcomes = {}
local ctx = agent_context.new({ enable_cache = false })
for n, try in ipairs({
    function() agent_context.new({ contxt = {} }) end,
    function() agent_context.new({ delegate_tools = { enable = true } }) end,
    function() ctx:configure_delegate_tools({ suffix = "x" }) end,
    function() ctx:add_tools(5) end,
    function() ctx:set_context_merger(function() end) end,
    function() error(select(2, ctx:load_agent())) end,
    function() error(select(2, ctx:load_agent({ id = "x", tools = 5 }))) end,
    function() error(select(2, ctx:load_agent("app:assistant"):step("x", { steam = 1 }))) end,
    function() error(select(2, ctx:load_agent("app:assistant"):step("x", { tool_call = "y" }))) end,
}) do
    local _, err = pcall(try)
    outcomes[n] = type(err) == "string" and err or err:message()
end
return outcomes
"""
    found = app.run(body)
    for said, part in zip(
        found,
        [
            "`contxt` is no option of agent_context.new",
            "`enable` is no option of delegate_tools",
            "`suffix` is no option of delegate_tools",
            "`5` is no tool reference",
            "set_context_merger is for Python",
            "Agent spec or identifier is required",
            "`tools` of agent `x` is a int",
            "`steam` is no option of step",
            "Tool 'y' not found in available tools",
        ],
        strict=True,
    ):
        assert part in said
