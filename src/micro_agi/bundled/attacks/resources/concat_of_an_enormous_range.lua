-- reason: table.concat with bounds of one's own
-- run: tool
-- limits: wall_s=3
-- expect: error: invalid value
return function() return table.concat({}, ",", 1, 1 << 60) end
