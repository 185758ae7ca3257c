-- reason: a coroutine that spawns until the heap is full
-- run: tool
-- expect: limit: memory
return function() while true do coroutine.spawn(function() end) end end
