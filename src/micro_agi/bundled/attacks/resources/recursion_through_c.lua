-- reason: pcall and gsub nest the stack of C
-- run: tool
-- limits: wall_s=3
-- expect: value: "stopped"
local function deep(n) return (("x"):gsub("x", function() return deep(n + 1) end)) end
return function() local ok = pcall(deep, 0) return ok and "endless" or "stopped" end
