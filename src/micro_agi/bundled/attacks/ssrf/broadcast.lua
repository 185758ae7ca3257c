-- reason: all of the network
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://255.255.255.255/")
  error(tostring(problem or response.body), 0)
end
