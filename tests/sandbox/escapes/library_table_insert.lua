-- source: table.insert writes through __newindex
-- expect: error: read-only library
-- modules: 
return function() table.insert(math, 1) end
