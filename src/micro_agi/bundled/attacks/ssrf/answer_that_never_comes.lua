-- reason: hold the call, and its place in the pool
-- run: web
-- expect: error: no complete answer
return function(net)
  local response, problem = http_client.get("http://open.test:" .. net.open .. "/slow", { timeout = "200ms" })
  error(tostring(problem or response.body), 0)
end
