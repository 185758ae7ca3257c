-- reason: credentials of the machine, in every cloud
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://169.254.169.254/latest/meta-data/")
  error(tostring(problem or response.body), 0)
end
