-- reason: ::ffff:a.b.c.d ends at the IPv4 address
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://[::ffff:127.0.0.1]:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
