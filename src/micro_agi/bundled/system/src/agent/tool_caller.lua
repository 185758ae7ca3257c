-- Run the tool calls of a step: find each tool, run them one by one or all at once, and
-- let wrappers look before and after. What the model named and is no tool gets an error.

local tools = require("tools")
local funcs = require("funcs")
local json = require("json")

local caller = {
    STRATEGY = { SEQUENTIAL = "sequential", PARALLEL = "parallel" },
    FUNC_STATUS = { PENDING = "pending", SUCCESS = "success", ERROR = "error" },
    PHASE = { BEFORE_EXECUTE = "before_execute", AFTER_EXECUTE = "after_execute" },
    OUTCOME_STATE = {
        CONTINUES = "continues", COMPLETED = "completed", FAILED = "failed",
        COMPACTED = "compacted", DELEGATED = "delegated",
    },
    OUTCOME_REASON = {
        TOOL_RESULTS_RECORDED = "tool_results_recorded",
        TOOL_EXECUTION_FAILED = "tool_execution_failed",
        EXIT_TOOL_COMPLETED = "exit_tool_completed",
        DELEGATION_REQUESTED = "delegation_requested",
        NO_TOOLS_REQUIRED = "no_tools_required",
        MAX_ITERATIONS_REACHED = "max_iterations_reached",
        CONTEXT_LIMIT_REACHED = "context_limit_reached",
        HOST_FAILED = "host_failed",
    },
}

local CONTRACT = "wippy.agent:tool_wrapper"
local PRIORITY = 100
local SKIPPED = "skipped: an exclusive tool runs alone"

local Caller = {}
Caller.__index = Caller

function Caller:set_strategy(strategy)
    if strategy == "sequential" or strategy == "parallel" then self.strategy = strategy end
    return self
end

----------------------------------------------------------------------------------- wrappers
function Caller:set_tool_wrappers(list)
    self.wrappers = {}
    for n, wrapper in ipairs(list or {}) do
        self.wrappers[n] = { spec = wrapper, order = wrapper.order or n, priority = wrapper.priority or PRIORITY }
    end
    table.sort(self.wrappers, function(a, b)
        if a.priority ~= b.priority then return a.priority < b.priority end
        return a.order < b.order
    end)
    return self
end

function Caller:set_wrapper_context(context)
    self.wrapper_context = context or {}
    return self
end

local function forget(self)
    self.observations, self.metadata, self.errors, self.last_calls = {}, {}, {}, nil
end

function Caller:get_wrapper_observations() return self.observations end
function Caller:get_wrapper_metadata() return self.metadata end
function Caller:get_wrapper_errors() return self.errors end
function Caller:get_last_tool_calls() return self.last_calls end

local function handles(spec, phase)
    if not spec.phases or #spec.phases == 0 then return true end
    for _, one in ipairs(spec.phases) do
        if one == phase then return true end
    end
    return false
end

-- Ask one wrapper: a function, or a binding of the contract.
local function ask(spec, payload)
    if spec.func then return spec.func(payload) end
    local contract = require("contract")
    local definition, err = contract.get(CONTRACT)
    if err then return nil, err end
    if spec.context and next(spec.context) then
        local with, problem = definition:with_context(spec.context)
        if problem then return nil, problem end
        definition = with
    end
    local instance, problem = definition:open(spec.binding)
    if problem then return nil, problem end
    return instance:wrap(payload)
end

-- Run the wrappers of a phase; the calls as they left them, or nil and a strict failure.
local function wrapped(self, phase, calls, results, outcome)
    if #self.wrappers == 0 then return calls end
    local host = self.wrapper_context.host
    if not host or not host.kind or host.kind == "" then
        return nil, "tool wrapper host is required"
    end
    for _, wrapper in ipairs(self.wrappers) do
        local spec = wrapper.spec
        if handles(spec, phase) then
            local answer, err = ask(spec, {
                phase = phase, host = host, agent = self.wrapper_context.agent,
                run_context = self.wrapper_context.run_context, tool_calls = calls,
                tool_results = results, outcome = outcome, options = spec.options or {},
            })
            if err then
                self.errors[#self.errors + 1] = { id = spec.id, phase = phase, error = tostring(err), strict = spec.strict == true }
                if spec.strict == true and phase == "before_execute" then return nil, err end
            elseif type(answer) == "table" then
                if phase == "before_execute" and type(answer.tool_calls) == "table" then calls = answer.tool_calls end
                for _, one in ipairs(answer.observations or {}) do self.observations[#self.observations + 1] = one end
                if answer.metadata then self.metadata[#self.metadata + 1] = { id = spec.id, phase = phase, metadata = answer.metadata } end
            end
        end
    end
    return calls
end

----------------------------------------------------------------------------------- validate
local function checked(call)
    local item = {
        call_id = call.id, name = call.name, args = call.arguments, registry_id = call.registry_id,
        context = call.context, provider_metadata = call.provider_metadata, meta = {},
    }
    local tool, err = tools.get_tool_schema(call.registry_id)
    if tool then
        item.valid, item.meta = true, tool.meta
    else
        item.valid, item.error = false, "Failed to get tool schema: " .. tostring(err)
    end
    return item
end

-- Look up each call: a map from call id to what `execute` takes. With an exclusive tool among
-- others only that one is valid; the second value says so, and the others are errors.
function Caller:validate(calls)
    if not calls or #calls == 0 then return {}, nil end
    forget(self)
    local problem
    calls, problem = wrapped(self, "before_execute", calls)
    if not calls then return nil, "Tool wrapper failed: " .. tostring(problem) end
    self.last_calls = calls
    local validated, exclusive = {}, {}
    for n, call in ipairs(calls) do
        local item = checked(call)
        item.position = n
        validated[call.id] = item
        if item.valid and item.meta.exclusive == true then exclusive[#exclusive + 1] = item end
    end
    if #exclusive > 1 then return {}, "Multiple exclusive tools found, cannot process" end
    if #exclusive == 1 and #calls > 1 then
        for id, item in pairs(validated) do
            if item ~= exclusive[1] then
                validated[id] = { call_id = id, name = item.name, args = item.args, registry_id = item.registry_id, meta = item.meta, position = item.position, valid = false, error = SKIPPED }
            end
        end
        return validated, "Exclusive tool found, other tools skipped"
    end
    return validated, nil
end

------------------------------------------------------------------------------------ execute
local function arguments_of(item)
    if type(item.args) ~= "string" then return item.args end
    if item.args == "" then return {} end
    local value, err = json.decode(item.args)
    if err then return nil, "Failed to parse arguments: " .. tostring(err) end
    return value
end

local function executor(item, session)
    local context = {}
    for key, value in pairs(item.context or {}) do context[key] = value end
    for key, value in pairs(session or {}) do context[key] = value end
    context.call_id = item.call_id
    return funcs.new():with_context(context)
end

local function in_order(validated)
    local list = {}
    for _, item in pairs(validated) do list[#list + 1] = item end
    table.sort(list, function(a, b) return (a.position or 0) < (b.position or 0) end)
    return list
end

local function start(item, session, strategy)
    if not item.valid then return { tool_call = item, error = item.error } end
    local args, problem = arguments_of(item)
    if problem then return { tool_call = item, error = problem } end
    local run, refused = executor(item, session)
    if not run then return { tool_call = item, error = refused } end
    if strategy == "sequential" then
        local result, err = run:call(item.registry_id, args)
        return { tool_call = item, result = result, error = err }
    end
    local future, err = run:async(item.registry_id, args)
    if err then return { tool_call = item, error = err } end
    return { tool_call = item, future = future }
end

local function finish(entry)
    local future = entry.future
    if not future then return entry end
    entry.future = nil
    future:response():receive()
    local payload, err = future:result()
    if err or not payload then
        entry.error = "Tool execution failed or was canceled: " .. tostring(err)
    else
        entry.result = payload:data()
    end
    return entry
end

-- Run what `validate` found: a map from call id to `{result, error, tool_call}`.
function Caller:execute(session, validated)
    local results, started, failed = {}, {}, false
    if not validated then return results end
    for n, item in ipairs(in_order(validated)) do started[n] = start(item, session, self.strategy) end
    for _, entry in ipairs(started) do
        finish(entry)
        failed = failed or entry.error ~= nil
        results[entry.tool_call.call_id] = entry
    end
    local reason = failed and "tool_execution_failed" or "tool_results_recorded"
    local outcome = self.wrapper_context.outcome or { state = "continues", reason = reason }
    if #started > 0 then
        local calls, told = self.last_calls or {}, {}
        for id, entry in pairs(results) do
            told[id] = { result = entry.result, error = entry.error and tostring(entry.error) or nil }
        end
        local _, err = wrapped(self, "after_execute", calls, told, outcome)
        if err then self.errors[#self.errors + 1] = { phase = "after_execute", error = tostring(err), strict = false } end
    end
    return results
end

function caller.new()
    local self = setmetatable({ strategy = "sequential", wrappers = {}, wrapper_context = {} }, Caller)
    forget(self)
    return self
end

return caller
