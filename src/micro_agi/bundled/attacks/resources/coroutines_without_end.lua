-- reason: each has a stack
-- run: tool
-- limits: wall_s=3
-- expect: limit: MiB of memory
return function()
  local t = {}
  while true do t[#t + 1] = coroutine.wrap(function() coroutine.yield() end) t[#t]() end
end
