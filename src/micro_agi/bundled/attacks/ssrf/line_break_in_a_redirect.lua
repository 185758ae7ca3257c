-- reason: the target of a redirect is written into the next request
-- run: web
-- expect: value: false
return function(net)
  local to = "/to/302/http%3A%2F%2Fother.test%3A" .. net.open .. "%2F%250D%250AX-Evil%3A%25201"
  local response, problem = http_client.get("http://open.test:" .. net.open .. to)
  return response ~= nil and response.body:find("\nX-Evil", 1, true) ~= nil
end
