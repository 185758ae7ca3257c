-- source: the failure report must not call __tostring
-- expect: error: the error value is a table
-- modules: 
return function() error(setmetatable({}, { __tostring = function() while true do end end })) end
