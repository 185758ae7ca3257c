-- reason: Authorization is for one origin
-- run: web
-- expect: value: false
return function(net)
  local to = "/to/302/http%3A%2F%2Fother.test%3A" .. net.open .. "%2F"
  local response = http_client.get("http://open.test:" .. net.open .. to, {
    headers = { Authorization = "Bearer secret", ["X-Key"] = "secret" }, cookies = { sid = "secret" },
  })
  return response.body:find("secret", 1, true) ~= nil
end
