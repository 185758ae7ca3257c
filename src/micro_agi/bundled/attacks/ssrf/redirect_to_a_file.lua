-- reason: file:///etc/passwd
-- run: web
-- expect: error: only http:// and https://
return function(net)
  local response, problem = http_client.get("http://open.test:" .. net.open .. "/to/302/file%3A%2F%2F%2Fetc%2Fpasswd")
  error(tostring(problem or response.body), 0)
end
