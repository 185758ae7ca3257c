-- reason: the order function never returns
-- run: tool
-- limits: wall_s=0.3
-- expect: limit: computed for more than
return function() table.sort({ 2, 1 }, function() while true do end end) end
