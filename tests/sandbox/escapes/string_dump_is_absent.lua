-- source: spec/sandbox.md 1.4
-- expect: value: false
-- modules: 
return function() return string.dump ~= nil or ("").dump ~= nil end
