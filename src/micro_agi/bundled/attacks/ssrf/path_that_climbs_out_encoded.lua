-- reason: %2e%2e is .. as well
-- run: web
-- allow: http://open.test:{open}/public/*
-- expect: error: not allowed
return function(net)
  local response, problem = http_client.get("http://open.test:" .. net.open .. "/public/%2e%2e/admin")
  error(tostring(problem or response.body), 0)
end
