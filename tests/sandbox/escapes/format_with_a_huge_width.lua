-- source: string.format buffers
-- expect: error: invalid conversion
-- modules: 
return function() return ('%99999999d'):format(1) end
