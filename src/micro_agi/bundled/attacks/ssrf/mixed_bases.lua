-- reason: one part in each base
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://0x7f.0.0.01:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
