-- reason: nothing is left for the answer
-- run: tool
-- limits: wall_s=3
-- expect: limit: 
return function()
  local kept = {}
  pcall(function() while true do kept[#kept + 1] = ("x"):rep(1 << 12) .. #kept end end)
  return kept
end
