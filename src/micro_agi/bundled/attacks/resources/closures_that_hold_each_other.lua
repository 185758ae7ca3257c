-- reason: a chain that the collector cannot cut
-- run: tool
-- limits: wall_s=3
-- expect: limit: MiB of memory
return function()
  local f = function() end
  for n = 1, math.huge do
    local g, held = f, ("x"):rep(1000) .. n
    f = function() return g, held end
  end
end
