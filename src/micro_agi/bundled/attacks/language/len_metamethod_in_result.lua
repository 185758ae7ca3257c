-- reason: spec/sandbox.md 7, trap 5
-- run: tool
-- expect: value: {}
return function() return setmetatable({}, { __len = function() return 1 << 40 end, __index = function() return 'x' end }) end
