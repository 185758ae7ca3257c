-- reason: the connection goes to the allowed host, the request to its neighbour on the same server
-- run: web
-- expect: error: is set by the runtime
return function(net)
  local response, problem = http_client.get("http://open.test:" .. net.open .. "/", { headers = { Host = "secret.test" } })
  error(tostring(problem or response.body), 0)
end
