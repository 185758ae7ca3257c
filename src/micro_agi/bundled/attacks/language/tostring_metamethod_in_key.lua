-- reason: keys of a result are text without running code
-- run: tool
-- expect: value: {"table": 1}
return function() return { [setmetatable({}, { __tostring = function() error('ran') end })] = 1 } end
