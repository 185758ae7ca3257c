-- reason: one call, without end
-- run: tool
-- modules: http_client
-- reaches: http_client.get
-- limits: wall_s=3 host_calls=30
-- expect: limit: more than 30 host calls
return function() while true do http_client.get("http://x/") end end
