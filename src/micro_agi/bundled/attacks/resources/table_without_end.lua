-- reason: many small ones
-- run: tool
-- limits: wall_s=3
-- expect: limit: MiB of memory
return function() local t = {} for n = 1, math.huge do t[n] = { n } end end
