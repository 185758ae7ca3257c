-- reason: yield from the call itself, into trusted code
-- run: tool
-- expect: value: "nothing"
return function() return coroutine.yield("frame") or "nothing" end
