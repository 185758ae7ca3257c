-- reason: one line that is too long for any frame
-- run: tool
-- expect: error: too large
return function() print(("x"):rep(2 << 20)) end
