-- reason: a stream would outlive the call
-- run: tool
-- modules: http_client
-- expect: error: not available
return function() local _, e = http_client.get("http://x/", { stream = true }) error(tostring(e), 0) end
