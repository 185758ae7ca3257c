-- reason: open.test.secret.test begins like the allowed host
-- run: web
-- names: open.test.secret.test=127.0.0.1
-- allow: http://open.test:{open}/*
-- addresses: *
-- expect: error: not allowed
return function(net)
  local response, problem = http_client.get("http://open.test." .. "secret.test:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
