-- reason: table.insert writes through __newindex
-- run: tool
-- expect: error: read-only library
return function() table.insert(math, 1) end
