-- reason: %73 is s
-- run: web
-- deny: http://secret.test:{secret}/*
-- addresses: *
-- expect: error: 
return function(net)
  local response, problem = http_client.get("http://%73ecret.test:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
