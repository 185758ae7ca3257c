-- source: reaching the table of standard names
-- expect: error: protected metatable
-- modules: 
return function() setmetatable(_G, {}) end
