-- source: spec/sandbox.md 2.3
-- expect: value: false
-- modules: 
return function() return getmetatable("") end
