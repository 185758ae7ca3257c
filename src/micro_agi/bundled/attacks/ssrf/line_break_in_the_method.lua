-- reason: the same one word earlier
-- run: web
-- expect: error: no HTTP method
return function(net)
  local _, problem = http_client.request("GET / HTTP/1.1\r\nX: y", "http://open.test:" .. net.open .. "/")
  error(tostring(problem), 0)
end
