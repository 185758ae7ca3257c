-- reason: the name was good for the first hop
-- run: web
-- names: rebind.test=127.0.0.2,127.0.0.1
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://rebind.test:" .. net.open .. "/to/302/http%3A%2F%2Frebind.test%3A" .. net.secret .. "%2F")
  error(tostring(problem or response.body), 0)
end
