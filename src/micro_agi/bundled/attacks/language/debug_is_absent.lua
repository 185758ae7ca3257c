-- reason: spec/runtime.md 5.2
-- run: tool
-- expect: value: false
return function() return debug ~= nil or io ~= nil or collectgarbage ~= nil end
