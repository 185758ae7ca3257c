-- reason: string.rep of nothing, 2^62 times: no hook of Lua sees it
-- run: tool
-- limits: wall_s=0.3
-- expect: limit: computed for more than
return function() return ("").rep("", 1 << 62) end
