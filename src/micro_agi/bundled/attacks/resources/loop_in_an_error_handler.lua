-- reason: xpcall calls it before unwinding
-- run: tool
-- limits: wall_s=0.3
-- expect: limit: computed for more than
return function() xpcall(error, function() while true do end end, "x") end
