-- reason: string.format buffers
-- run: tool
-- expect: error: invalid conversion
return function() return ('%99999999d'):format(1) end
