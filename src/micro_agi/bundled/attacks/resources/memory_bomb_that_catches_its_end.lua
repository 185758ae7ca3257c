-- reason: survive the error, and go on allocating
-- run: tool
-- limits: wall_s=0.3
-- expect: limit: 
local kept = {}
return function()
  while true do pcall(function() while true do kept[#kept + 1] = ("x"):rep(1 << 16) .. #kept end end) end
end
