-- reason: a suspended coroutine with something to close is thrown away: its code must not run later
-- run: tool
-- expect: value: "quiet"
local ran = false
return function()
  local co = coroutine.wrap(function()
    local x <close> = setmetatable({}, { __close = function() ran = true end })
    coroutine.yield()
  end)
  co()
  co = nil
  for _ = 1, 50 do local waste = ("x"):rep(1 << 20) end
  return ran and "ran" or "quiet"
end
