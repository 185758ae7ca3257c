-- reason: one host call, a thousand requests
-- run: web
-- expect: error: a batch has at most
return function(net)
  local list = {}
  for n = 1, 1000 do list[n] = { "GET", "http://open.test:" .. net.open .. "/" } end
  local _, problem = http_client.request_batch(list)
  error(tostring(problem), 0)
end
