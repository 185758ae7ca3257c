-- reason: 0177.0.0.1 is 127.0.0.1 to C, and 177.0.0.1 to some
-- run: web
-- expect: error: not a canonical IPv4 address
return function(net)
  local response, problem = http_client.get("http://0177.0.0.1:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
