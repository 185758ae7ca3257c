-- reason: 127.1 has two parts
-- run: web
-- expect: error: not a canonical IPv4 address
return function(net)
  local response, problem = http_client.get("http://127.1:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
