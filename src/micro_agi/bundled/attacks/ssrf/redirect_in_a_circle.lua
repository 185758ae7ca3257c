-- reason: without end
-- run: web
-- expect: error: redirects more than
return function(net)
  local response, problem = http_client.get("http://open.test:" .. net.open .. "/again")
  error(tostring(problem or response.body), 0)
end
