-- reason: all of 127.0.0.0/8 is loopback, not .1 alone
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://127.9.9.9:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
