-- reason: a table must not be as long as its largest key
-- run: tool
-- limits: wall_s=3
-- expect: value: 1
return function() local t = {} t[1 << 52] = true local n = 0 for _ in pairs(t) do n = n + 1 end return n end
