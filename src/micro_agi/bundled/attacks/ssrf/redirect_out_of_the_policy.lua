-- reason: the policy knows one host; the redirect names another
-- run: web
-- allow: http://open.test:{open}/*
-- addresses: *
-- names: other.test=127.0.0.1
-- expect: error: not allowed: http://other.test
return function(net)
  local response, problem = http_client.get("http://open.test:" .. net.open .. "/to/302/http%3A%2F%2Fother.test%3A" .. net.secret .. "%2F")
  error(tostring(problem or response.body), 0)
end
