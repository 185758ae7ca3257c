-- reason: a to-be-closed variable runs while an error unwinds: still this call
-- run: tool
-- expect: error: first
local order = {}
return function()
  local x <close> = setmetatable({}, { __close = function() order[#order + 1] = "closed" end })
  error("first", 0)
end
