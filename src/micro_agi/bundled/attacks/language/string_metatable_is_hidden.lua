-- reason: spec/sandbox.md 2.3
-- run: tool
-- expect: value: false
return function() return getmetatable("") end
