-- reason: letters that become ascii when a name is prepared
-- run: web
-- deny: http://secret.test:{secret}/*
-- addresses: *
-- expect: error: not allowed
return function(net)
  local response, problem = http_client.get("http://ｓecret.test:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
