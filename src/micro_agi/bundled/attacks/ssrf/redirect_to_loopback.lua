-- reason: the first URL is allowed, the second is not looked at by many clients
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://open.test:" .. net.open .. "/to/302/http%3A%2F%2F127.0.0.1%3A" .. net.secret .. "%2F")
  error(tostring(problem or response.body), 0)
end
