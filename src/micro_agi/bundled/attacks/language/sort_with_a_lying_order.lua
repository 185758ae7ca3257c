-- reason: an invalid order function makes C sort read out of bounds
-- run: tool
-- expect: value: true
return function()
  local t = {}
  for n = 1, 500 do t[n] = n % 7 end
  local ok, why = pcall(table.sort, t, function() return true end)
  return not ok and why:find("invalid order function") ~= nil or ok
end
