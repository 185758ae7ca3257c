-- reason: bytes of one's own to any port
-- run: web
-- expect: error: only http:// and https://
return function(net)
  local response, problem = http_client.get("gopher://127.0.0.1:" .. net.secret .. "/_GET")
  error(tostring(problem or response.body), 0)
end
