-- reason: port 80 is the one that is meant without
-- run: web
-- deny: http://secret.test/*
-- expect: error: not allowed
return function(net)
  local response, problem = http_client.get("http://secret.test:80/")
  error(tostring(problem or response.body), 0)
end
