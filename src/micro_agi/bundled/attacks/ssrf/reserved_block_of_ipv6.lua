-- reason: only 2000::/3 is the public network
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://[4000::1]/")
  error(tostring(problem or response.body), 0)
end
