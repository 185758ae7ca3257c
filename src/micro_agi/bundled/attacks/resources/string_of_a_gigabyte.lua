-- reason: one allocation
-- run: tool
-- limits: wall_s=3
-- expect: limit: MiB of memory
return function() return #("x"):rep(1 << 30) end
