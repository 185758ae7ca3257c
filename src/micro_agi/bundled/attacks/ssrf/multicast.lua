-- reason: one request, many listeners
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://224.0.0.1/")
  error(tostring(problem or response.body), 0)
end
