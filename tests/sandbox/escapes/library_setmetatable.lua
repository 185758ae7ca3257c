-- source: replacing the front of a library
-- expect: error: protected metatable
-- modules: 
return function() setmetatable(os, {}) end
