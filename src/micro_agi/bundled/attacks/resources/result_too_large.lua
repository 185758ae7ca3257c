-- reason: what a model reads is limited
-- run: tool
-- limits: wall_s=3
-- expect: limit: the result takes more
return function() return ("x"):rep(300000) end
