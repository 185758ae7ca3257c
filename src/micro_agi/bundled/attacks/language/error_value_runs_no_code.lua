-- reason: the failure report must not call __tostring
-- run: tool
-- expect: error: the error value is a table
return function() error(setmetatable({}, { __tostring = function() while true do end end })) end
