-- reason: adding __gc after setmetatable marks nothing
-- run: tool
-- expect: value: "quiet"
local ran = false
return function()
  local mt = {}
  setmetatable({}, mt)
  mt.__gc = function() ran = true error('no') end
  for _ = 1, 50 do local waste = ("x"):rep(1 << 20) end
  return ran and "ran" or "quiet"
end
