-- source: table.unpack of an enormous range
-- expect: error: too many results
-- modules: 
return function() return unpack({}, 1, 1 << 40) end
