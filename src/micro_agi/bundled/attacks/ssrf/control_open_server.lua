-- reason: the server that is granted answers
-- run: web
-- expect: error: GET / HTTP/1.1
return function(net)
  local response, problem = http_client.get("http://open.test:" .. net.open .. "/")
  error(tostring(problem or response.body), 0)
end
