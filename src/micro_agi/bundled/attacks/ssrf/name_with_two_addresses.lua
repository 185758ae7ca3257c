-- reason: one public, one private: whichever the connection takes
-- run: web
-- names: mixed.test=127.0.0.2+127.0.0.1
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://mixed.test:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
