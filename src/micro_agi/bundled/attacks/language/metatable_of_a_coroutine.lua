-- reason: the same for threads
-- run: tool
-- expect: error: table expected
return function() setmetatable(coroutine.create(print), { __index = print }) end
