-- Let a model choose the agent of a class that fits a request best.

local agents = require("agents")

local selector = {}

function selector.select_agent(user_prompt, class, options)
    return agents.select(user_prompt, class, options and options.model)
end

function selector.execute(input)
    if type(input) ~= "table" then return nil, "Input is required" end
    return selector.select_agent(input.user_prompt or input.prompt, input.class_name or input.class, input)
end

return selector
