-- reason: open.test before the @ is a user
-- run: web
-- expect: error: credentials belong
return function(net)
  local response, problem = http_client.get("http://open.test:" .. net.open .. "/to/303/http%3A%2F%2Fopen.test%40127.0.0.1%3A" .. net.secret .. "%2F")
  error(tostring(problem or response.body), 0)
end
