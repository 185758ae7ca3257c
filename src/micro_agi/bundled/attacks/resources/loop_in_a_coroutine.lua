-- reason: hooks of Lua are per thread
-- run: tool
-- limits: wall_s=0.3
-- expect: limit: computed for more than
return function() coroutine.wrap(function() while true do end end)() end
