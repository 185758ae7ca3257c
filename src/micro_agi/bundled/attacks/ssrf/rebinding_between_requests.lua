-- reason: the second look-up says something else
-- run: web
-- names: rebind.test=127.0.0.2,127.0.0.1
-- expect: error: not a public address
return function(net)
  local url = "http://rebind.test:" .. net.open .. "/"
  local first = http_client.get(url)
  if not first then error("the first request must work", 0) end
  local response, problem = http_client.get("http://rebind.test:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
