-- reason: an error is a result as well
-- run: tool
-- limits: wall_s=3
-- expect: error: xxx
return function() error(("x"):rep(10 << 20), 0) end
