-- reason: by its name
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://localhost:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
