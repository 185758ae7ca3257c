-- reason: a checker that looks up twice
-- run: web
-- names: rebind.test=127.0.0.1,127.0.0.2
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://rebind.test:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
