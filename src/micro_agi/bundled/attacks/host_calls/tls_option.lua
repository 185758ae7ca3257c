-- reason: turn verification off
-- run: tool
-- modules: http_client
-- expect: error: not available
return function() local _, e = http_client.get("https://x/", { tls = { insecure = true } }) error(tostring(e), 0) end
