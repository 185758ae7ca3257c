-- reason: exponential matching in C
-- run: tool
-- limits: wall_s=0.3
-- expect: limit: computed for more than
return function() return (("a"):rep(3000)):find(".-.-.-.-.-b") end
