-- reason: the same in the other family
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://[::1]:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
