-- reason: a body that the server takes for the next request
-- run: web
-- expect: error: is set by the runtime
return function(net)
  local response, problem = http_client.post("http://open.test:" .. net.open .. "/", {
    headers = { ["content-length"] = "0" }, body = "GET /smuggled HTTP/1.1\r\n\r\n",
  })
  error(tostring(problem or response.body), 0)
end
