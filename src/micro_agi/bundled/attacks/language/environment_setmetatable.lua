-- reason: reaching the table of standard names
-- run: tool
-- expect: error: protected metatable
return function() setmetatable(_G, {}) end
