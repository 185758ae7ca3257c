-- reason: 2130706433 is 127.0.0.1 to a resolver
-- run: web
-- expect: error: not a canonical IPv4 address
return function(net)
  local response, problem = http_client.get("http://2130706433:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
