-- reason: %61 is a
-- run: web
-- deny: http://secret.test:{secret}/admin*
-- addresses: *
-- expect: error: not allowed
return function(net)
  local response, problem = http_client.get("http://secret.test:" .. net.secret .. "/%61dmin")
  error(tostring(problem or response.body), 0)
end
