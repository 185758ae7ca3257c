-- reason: ::ffff:0:a.b.c.d (RFC 2765)
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://[::ffff:0:7f00:1]:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
