-- reason: docker.sock by way of the HTTP client
-- run: tool
-- modules: http_client
-- expect: error: not available
return function() local _, e = http_client.get("http://x/", { unix_socket = "/var/run/docker.sock" }) error(tostring(e), 0) end
