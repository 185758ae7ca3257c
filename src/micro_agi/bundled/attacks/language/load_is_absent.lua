-- reason: spec/runtime.md 5.2
-- run: tool
-- expect: value: false
return function() return load ~= nil or loadstring ~= nil or dofile ~= nil or loadfile ~= nil end
