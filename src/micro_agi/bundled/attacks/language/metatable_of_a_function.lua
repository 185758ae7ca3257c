-- reason: functions share one metatable, if somebody gave them one
-- run: tool
-- expect: value: true
return function() return getmetatable(print) == nil and getmetatable(nil) == nil and getmetatable(1) == nil end
