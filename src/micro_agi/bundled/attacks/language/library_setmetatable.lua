-- reason: replacing the front of a library
-- run: tool
-- expect: error: protected metatable
return function() setmetatable(os, {}) end
