-- reason: http://open.test@127.0.0.1/ reads like open.test
-- run: web
-- allow: http://open.test:{open}/*
-- addresses: *
-- expect: error: 
return function(net)
  local response, problem = http_client.get("http://open.test:" .. net.open .. "@127.0.0.1:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
