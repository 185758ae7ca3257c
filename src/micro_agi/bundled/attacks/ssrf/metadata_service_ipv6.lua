-- reason: fd00:ec2::254
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://[fd00:ec2::254]/")
  error(tostring(problem or response.body), 0)
end
