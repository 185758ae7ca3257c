-- reason: 0x7f000001
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://0x7f000001:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
