-- reason: 0.0.0.0 connects to this machine
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://0.0.0.0:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
