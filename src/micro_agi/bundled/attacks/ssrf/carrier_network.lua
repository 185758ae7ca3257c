-- reason: 100.64.0.0/10 is where providers put their own machines
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://100.64.0.1/")
  error(tostring(problem or response.body), 0)
end
