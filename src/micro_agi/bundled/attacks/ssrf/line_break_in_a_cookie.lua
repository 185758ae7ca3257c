-- reason: cookies become a header
-- run: web
-- expect: error: header
return function(net)
  local response, problem = http_client.get("http://open.test:" .. net.open .. "/", { cookies = { a = "1\r\nX-Evil: 1" } })
  error(tostring(problem or response.body), 0)
end
