-- reason: names are written as they are, too
-- run: web
-- expect: error: header
return function(net)
  local response, problem = http_client.get("http://open.test:" .. net.open .. "/", { headers = { ["X-A: 1\r\nX-Evil"] = "1" } })
  error(tostring(problem or response.body), 0)
end
