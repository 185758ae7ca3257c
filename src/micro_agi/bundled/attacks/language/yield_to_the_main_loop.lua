-- reason: yield from the call itself, into trusted code
-- run: tool
-- expect: error: attempt to yield
return function() coroutine.yield("frame") end
