-- reason: in the other family
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://open.test:" .. net.open .. "/to/307/http%3A%2F%2F%5B%3A%3Affff%3A127.0.0.1%5D%3A" .. net.secret .. "%2F")
  error(tostring(problem or response.body), 0)
end
