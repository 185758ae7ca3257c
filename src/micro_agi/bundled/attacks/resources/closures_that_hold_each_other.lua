-- reason: a chain that the collector cannot cut
-- run: tool
-- limits: wall_s=3
-- expect: limit: MiB of memory
return function()
  local f = function() end
  while true do local g = f f = function() return g, ("x"):rep(100) end end
end
