-- source: spec/runtime.md 5.2
-- expect: value: false
-- modules: 
return function() return debug ~= nil or io ~= nil or collectgarbage ~= nil end
