-- reason: sizes that overflow
-- run: tool
-- expect: error: 
return function() return string.pack("!17i16", 1) end
