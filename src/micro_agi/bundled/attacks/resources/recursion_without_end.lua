-- reason: the stack of Lua
-- run: tool
-- limits: wall_s=3
-- expect: limit: MiB of memory
local function f() return 1 + f() end return function() return f() end
