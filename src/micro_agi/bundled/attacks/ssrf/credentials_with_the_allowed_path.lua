-- reason: the whole allowed prefix is a user name
-- run: web
-- allow: http://open.test:{open}/*
-- addresses: *
-- expect: error: 
return function(net)
  local response, problem = http_client.get("http://open.test:" .. net.open .. "%2F@127.0.0.1:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
