"""`wippy.agent:tool_caller`, discovery of tools and traits, and the selector."""

import pytest

from micro_agi.llm.providers.scripted import Call
from tests.framework.test_seed_agents import AGENTS

PAUSE = """return { handler = function(args)
  time.sleep("1ms")
  return { n = args.n, who = ctx.get("user_id"), call = ctx.get("call_id") }
end }"""
ENTRIES = (
    *AGENTS,
    {
        "id": "app.tools:pause",
        "kind": "function.lua",
        "meta": {"type": "tool", "tags": ["slow"], "comment": "Waits."},
        "data": {"source": PAUSE, "modules": ["time", "ctx"], "method": "handler"},
    },
    {
        "id": "app.tools:fails",
        "kind": "function.lua",
        "meta": {"type": "tool"},
        "data": {
            "source": "return { handler = function() return nil, 'out of paper' end }",
            "method": "handler",
        },
    },
    {
        "id": "app:careful",
        "kind": "registry.entry",
        "meta": {"type": "agent.trait", "name": "careful", "comment": "Checks twice."},
        "data": {
            "prompt": "Check twice.",
            "tools": ["app.tools:pause", {"id": "app.tools:search"}],
        },
    },
)
RUN = """
local function calls(...)
    local list = {}
    for n, call in ipairs({ ... }) do
        list[n] = { id = "c" .. n, name = call[1], registry_id = call[2], arguments = call[3],
            context = call[4] }
    end
    return list
end
local caller = tool_caller.new()
"""


@pytest.fixture(scope="module", autouse=True)
def tools_fixture(shared):
    shared.define(*ENTRIES)


@pytest.mark.requirement("003/lua/tool-caller")
@pytest.mark.parametrize("strategy", ["sequential", "parallel"])
def test_calls_of_a_step_are_validated_and_run(app, strategy):
    body = (
        RUN
        + f"""
caller:set_strategy("{strategy}"):set_strategy("nonsense")
local validated, err = caller:validate(calls(
    {{ "pause", "app.tools:pause", {{ n = 1 }}, {{ user_id = "tool", unit = "x" }} }},
    {{ "pause", "app.tools:pause", '{{"n": 2}}' }},
    {{ "pause", "app.tools:pause", "[1" }},
    {{ "nobody", "app.tools:nobody", {{}} }},
    {{ "fails", "app.tools:fails", {{}} }}
))
local results = caller:execute({{ user_id = "u1" }}, validated)
local none, no_err = caller:validate({{}})
return {{
    err = err, first = results.c1.result, second = results.c2.result.n,
    parse = results.c3.error, unknown = results.c4.error, valid = validated.c4.valid,
    failed = tostring(results.c5.error), call = results.c1.tool_call.name, none = next(none) == nil,
    nothing = next(caller:execute({{}}, nil)) == nil,
}}
"""
    )
    found = app.run(body)
    assert "err" not in found
    assert found["first"] == {"n": 1, "who": "u1", "call": "c1"}
    assert found["second"] == 2
    assert found["parse"].startswith("Failed to parse arguments: ")
    assert found["unknown"].startswith("Failed to get tool schema: ")
    assert found["valid"] is False
    assert "out of paper" in found["failed"]
    assert (found["call"], found["none"], found["nothing"]) == ("pause", True, True)


@pytest.mark.requirement("003/lua/exclusive")
def test_an_exclusive_tool_runs_alone_and_the_others_say_so(app):
    body = (
        RUN
        + """
local validated, told = caller:validate(calls({ "search", "app.tools:search", {} }, { "pause",
    "app.tools:pause", {} }))
local results = caller:execute({}, validated)
local _, twice = caller:validate(calls({ "search", "app.tools:search", {} }, { "search",
    "app.tools:search", {} }))
local alone, quiet = caller:validate(calls({ "search", "app.tools:search", {} }))
return { told, results.c1.error == nil, results.c2.error, twice, quiet == nil and alone.c1.valid }
"""
    )
    assert app.run(body) == [
        "Exclusive tool found, other tools skipped",
        True,
        "skipped: an exclusive tool runs alone",
        "Multiple exclusive tools found, cannot process",
        True,
    ]


@pytest.mark.requirement("003/lua/tool-wrappers")
def test_wrappers_look_before_and_after(app):
    body = (
        RUN
        + """
local seen = {}
caller:set_tool_wrappers({
    { id = "late", priority = 200,
        func = function(payload) seen[#seen + 1] = "late:" .. payload.phase end },
    { id = "rename", phases = { "before_execute" }, options = { to = 9 }, func = function(payload)
        seen[#seen + 1] = "rename:" .. payload.phase
        local call = payload.tool_calls[1]
        call.arguments = { n = payload.options.to }
        return { tool_calls = { call }, observations = { "changed" }, metadata = { by = "rename" } }
    end },
    { id = "broken", phases = { "after_execute" }, func = function() return nil, "sorry" end },
})
local without, refused = caller:validate(calls({ "pause", "app.tools:pause", { n = 1 } }))
caller:set_wrapper_context({ host = { kind = "test" } })
local results = caller:execute({}, (caller:validate(calls({ "pause", "app.tools:pause",
    { n = 1 } }, { "fails", "app.tools:fails", {} }))))
local count = 0
for _ in pairs(results) do count = count + 1 end
local strict = tool_caller.new():set_wrapper_context({ host = { kind = "test" } })
strict:set_tool_wrappers({ { id = "no", strict = true, func = function() return nil,
    "not today" end } })
local _, err = strict:validate(calls({ "pause", "app.tools:pause", { n = 1 } }))
return { refused, seen, count, results.c1.result.n, caller:get_wrapper_observations()[1],
    caller:get_wrapper_errors()[1].error, #caller:get_last_tool_calls(), err }
"""
    )
    assert app.run(body) == [
        "Tool wrapper failed: tool wrapper host is required",
        ["rename:before_execute", "late:before_execute", "late:after_execute"],
        1,
        9,
        "changed",
        "sorry",
        1,
        "Tool wrapper failed: not today",
    ]


@pytest.mark.requirement("003/lua/tool-discovery", "003/lua/trait-discovery")
def test_tools_and_traits_are_discovered(app):
    body = """
local names = {}
for n, tool in ipairs(tools.find_tools({ namespace = "app.tools" })) do
    names[tool.name] = tool.description
end
local search = tools.get_tool_schema("app.tools:search")
local _, wrong = tools.get_tool_schema("app:assistant")
local found, errors = tools.get_tool_schemas_ordered({ "app.tools:pause", "app:none",
    "app.tools:search" })
local _, unknown = traits.get_by_name("reckless")
return {
    names = names, slow = tools.find_tools({ namespace = "app.tools", tags = { "slow" } })[1].id,
    exclusive = search.meta.exclusive, hidden = search.meta.llm_alias == nil,
        wrong = wrong:message(),
    ordered = { found[1].name, found[2].name, errors["app:none"] ~= nil },
    id = tools.resolve_name_to_id("CALCULATE", { "app.tools:search", "app.tools:calculate" }),
    none = select(2, tools.resolve_name_to_id("x", {})), plain = tools.sanitize_name("ns:HTTPGet"),
    trait = traits.get_by_id("app:careful").tools, prompt = traits.get_by_name("careful").prompt,
    all = #traits.get_all() >= 1, unknown = unknown,
    not_a_trait = select(2, traits.get_by_id("app:assistant")),
}
"""
    found = app.run(body)
    assert set(found["names"]) >= {"calculate", "fails", "pause", "search"}
    assert found["names"]["pause"] == "Waits."
    assert found["slow"] == "app.tools:pause"
    assert (found["exclusive"], found["hidden"]) == (True, True)
    assert "is not a tool" in found["wrong"]
    assert found["ordered"] == ["pause", "search", True]
    assert found["id"] == "app.tools:calculate"
    assert found["none"] == "No tool found with name: x in the provided scope"
    assert found["plain"] == "h_t_t_p_get"
    assert [tool["id"] for tool in found["trait"]] == ["app.tools:pause", "app.tools:search"]
    assert (found["prompt"], found["all"]) == ("Check twice.", True)
    assert found["unknown"] == "No trait found with name: reckless"
    assert found["not_a_trait"] == "Entry is not a trait: app:assistant"


@pytest.mark.requirement("003/lua/selector")
def test_a_model_selects_the_agent_of_a_class(app):
    body = """
local chosen = selector.select_agent("2+2?", "helper", { model = "gpt-4o" })
local _, invented = selector.execute({ prompt = "2+2?", class = "helper", model = "gpt-4o" })
local _, empty = selector.execute({ prompt = "x", class = "nothing" })
local _, without = selector.execute({ class = "helper" })
return { chosen, invented:message(), empty:message(), without:message(), select(2,
    selector.execute(5)) }
"""
    found = app.run(
        body,
        Call("choose_agent", {"agent": "app:specialist", "reason": "knows"}),
        Call("choose_agent", {"agent": "app:invented", "reason": "?"}),
    )
    assert found == [
        {"success": True, "agent": "app:specialist", "reason": "knows"},
        "LLM selected invalid agent ID: app:invented",
        "No agents found for class: nothing",
        "User prompt is required",
        "Input is required",
    ]


@pytest.mark.requirement("003/lua/tool-caller")
def test_a_step_and_the_caller_fit_together(app):
    body = """
local runner = agent_context.new({ context = { user_id = "u7" } }):load_agent({
    name = "x", prompt = "p", model = "gpt-4o", tools = { "app.tools:pause" },
})
local p = prompt.new():add_user("wait twice")
local caller = tool_caller.new():set_strategy("parallel")
local response = runner:step(p)
local results = caller:execute({}, (caller:validate(response.tool_calls)))
for _, call in ipairs(response.tool_calls) do
    p:add_function_call(call.name, call.arguments, call.id)
    p:add_function_result(call.name, results[call.id].result, call.id)
end
return runner:step(p).result
"""
    says = [Call("pause", {"n": 1}), Call("pause", {"n": 2})]
    said = app.run(body, says, lambda asked: asked.last.text)
    assert '"n":2' in said
    assert '"who":"u7"' in said
