-- reason: a loop in C over 2^62 places
-- run: tool
-- limits: wall_s=0.3
-- expect: limit: computed for more than
return function() table.move({}, 1, 1 << 62, 2, setmetatable({}, { __newindex = function() end })) end
