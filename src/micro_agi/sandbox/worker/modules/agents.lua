-- Agent contexts and runners of this call. They live in the parent and have numbers here; the
-- library `wippy.agent:context` makes objects of them.
-- Source: spec/agent.md 2 and 3.

local core = ...

local host = core.host
local agents = {}

for name in string.gmatch("new change load switch config current step stats tool tools select", "%S+") do
  agents[name] = function(...) return host("agents." .. name, ...) end
end

return agents
