-- reason: many allocations
-- run: tool
-- limits: wall_s=3
-- expect: limit: MiB of memory
return function() local s = "x" while true do s = s .. s end end
