-- reason: the simplest
-- run: tool
-- limits: wall_s=0.3
-- expect: limit: computed for more than
return function() while true do end end
