-- reason: pcall around what would stop it
-- run: tool
-- limits: wall_s=0.3
-- expect: limit: computed for more than
local function again() pcall(again) return again() end
return function() return again() end
