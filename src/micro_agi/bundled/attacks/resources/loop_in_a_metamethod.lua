-- reason: hidden in a comparison
-- run: tool
-- limits: wall_s=0.3
-- expect: limit: computed for more than
return function() return setmetatable({}, { __lt = function() while true do end end }) < {} end
