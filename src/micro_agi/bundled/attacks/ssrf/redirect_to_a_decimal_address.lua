-- reason: both tricks at once
-- run: web
-- expect: error: not a canonical IPv4 address
return function(net)
  local response, problem = http_client.get("http://open.test:" .. net.open .. "/to/301/http%3A%2F%2F2130706433%3A" .. net.secret .. "%2F")
  error(tostring(problem or response.body), 0)
end
