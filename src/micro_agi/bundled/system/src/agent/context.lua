-- Agents for an app's code: load one, run steps, change it while it runs. Context and runner
-- live in the runtime and end with the call that made them.

local agents = require("agents")
local prompt = require("prompt")

------------------------------------------------------------------------------------- runner
local Runner = {}
Runner.__index = Runner

function Runner:step(conversation, options)
    return agents.step(self.runner, prompt.messages_of(conversation), options or {})
end

function Runner:get_stats()
    return agents.stats(self.runner)
end

local function runner_of(facts, problem)
    if not facts then return nil, problem end
    return setmetatable(facts, Runner), nil
end

------------------------------------------------------------------------------------ context
local Context = {}
Context.__index = Context

local function changed(self, method, value)
    local done, problem = agents.change(self.context, method, value)
    if not done then error(problem, 3) end
    return self
end

function Context:add_tools(specs)
    if specs == nil then return self end
    return changed(self, "add_tools", specs)
end

function Context:add_delegates(specs)
    if specs == nil then return self end
    return changed(self, "add_delegates", specs)
end

function Context:set_active_tools(specs)
    return changed(self, "set_active_tools", specs)
end

function Context:set_active_traits(specs)
    return changed(self, "set_active_traits", specs)
end

function Context:configure_delegate_tools(config)
    return changed(self, "configure_delegate_tools", config)
end

function Context:set_memory_contract(config)
    return changed(self, "set_memory_contract", config)
end

function Context:set_context_merger()
    error("set_context_merger is for Python: functions do not cross to the runtime", 2)
end

function Context:update_context(updates)
    if type(updates) ~= "table" then return self end
    return changed(self, "update_context", updates)
end

function Context:load_agent(spec_or_id, options)
    return runner_of(agents.load(self.context, spec_or_id, options))
end

function Context:switch_to_agent(spec_or_id, options)
    local done, problem = agents.switch(self.context, "agent", spec_or_id, options)
    if not done then return false, tostring(problem) end
    return true, nil
end

function Context:switch_to_model(name)
    local done, problem = agents.switch(self.context, "model", name)
    if not done then return false, tostring(problem) end
    return true, nil
end

function Context:get_current_agent()
    return runner_of(agents.current(self.context))
end

function Context:get_config()
    return agents.config(self.context)
end

local agent_context = {}

function agent_context.new(options)
    local number, problem = agents.new(options or {})
    if not number then error(problem, 2) end
    return setmetatable({ context = number }, Context)
end

return agent_context
