-- reason: a public name may point anywhere
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://secret.test:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
