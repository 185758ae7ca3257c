-- reason: 10.0.0.0/8
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://10.0.0.1/")
  error(tostring(problem or response.body), 0)
end
