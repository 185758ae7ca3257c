-- reason: obsolete, and still routed by some
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://[::127.0.0.1]:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
