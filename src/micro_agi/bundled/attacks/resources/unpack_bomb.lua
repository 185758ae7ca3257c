-- reason: table.unpack of an enormous range
-- run: tool
-- expect: error: too many results
return function() return unpack({}, 1, 1 << 40) end
