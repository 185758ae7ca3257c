-- source: keys of a result are text without running code
-- expect: value: {"table": 1}
-- modules: 
return function() return { [setmetatable({}, { __tostring = function() error('ran') end })] = 1 } end
