-- reason: the same without a dot
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://[::ffff:7f00:1]:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
