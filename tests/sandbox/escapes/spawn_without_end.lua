-- source: a coroutine that spawns until the heap is full
-- expect: error: memory
-- modules: 
return function() while true do coroutine.spawn(function() end) end end
