-- reason: string.unpack at a position outside
-- run: tool
-- expect: error: data string too short
return function() return string.unpack("<i8", "abc", -1 << 62) end
