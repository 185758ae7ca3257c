-- reason: an answer half read must not be taken for the next one
-- run: tool
-- modules: http_client
-- reaches: http_client.get
-- limits: wall_s=8 host_calls=500
-- expect: limit: 
local kept = {}
return function()
  pcall(function() while true do kept[#kept + 1] = ("x"):rep(1 << 10) .. #kept end end)
  for _ = 1, 200 do pcall(http_client.get, "http://x/" .. #kept) kept[#kept + 1] = { {}, {}, {} } end
  while true do kept[#kept + 1] = {} pcall(http_client.get, "http://x/") end
end
