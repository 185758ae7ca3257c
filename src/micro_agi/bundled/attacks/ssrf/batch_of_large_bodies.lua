-- reason: each under the limit, together more than the runtime has memory for
-- run: web
-- expect: error: too large
return function(net)
  local list = {}
  for n = 1, 8 do list[n] = { "GET", "http://open.test:" .. net.open .. "/some" } end
  local _, problems = http_client.request_batch(list)
  local _, problem = next(problems or {})
  error(tostring(problem), 0)
end
