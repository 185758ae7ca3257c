-- reason: hide the flood from a counter in the main thread
-- run: tool
-- modules: http_client
-- reaches: http_client.get
-- limits: wall_s=3 host_calls=10
-- expect: limit: more than 10 host calls
return function()
  for _ = 1, 100 do coroutine.wrap(function() pcall(http_client.get, "http://x/") end)() end
end
