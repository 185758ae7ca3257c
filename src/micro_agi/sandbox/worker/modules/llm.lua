-- Models, by way of the parent, which asks the policies and keeps the keys. The libraries
-- `wippy.llm:llm` and `wippy.llm.util:compress` are made of these.
-- Source: spec/agent.md 6.2.

local core = ...

local host = core.host
local llm = {}

for name in string.gmatch("generate structured_output embed status available_models get_classes track_usage compress measure", "%S+") do
  llm[name] = function(...) return host("llm." .. name, ...) end
end

return llm
