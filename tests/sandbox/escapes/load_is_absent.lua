-- source: spec/runtime.md 5.2
-- expect: value: false
-- modules: 
return function() return load ~= nil or loadstring ~= nil or dofile ~= nil or loadfile ~= nil end
