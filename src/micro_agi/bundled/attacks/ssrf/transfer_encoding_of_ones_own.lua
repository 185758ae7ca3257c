-- reason: the other way to disagree about where a body ends
-- run: web
-- expect: error: is set by the runtime
return function(net)
  local response, problem = http_client.get("http://open.test:" .. net.open .. "/", { headers = { ["Transfer-Encoding"] = "chunked" } })
  error(tostring(problem or response.body), 0)
end
