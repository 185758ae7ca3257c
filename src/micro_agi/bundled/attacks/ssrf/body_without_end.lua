-- reason: 39 MB where 8 are allowed
-- run: web
-- limits: wall_s=5
-- expect: error: too large
return function(net)
  local response, problem = http_client.get("http://open.test:" .. net.open .. "/big")
  error(tostring(problem or response.body), 0)
end
