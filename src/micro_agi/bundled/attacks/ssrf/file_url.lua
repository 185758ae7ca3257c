-- reason: no network at all
-- run: web
-- expect: error: only http:// and https://
return function(net)
  local response, problem = http_client.get("file:///etc/passwd")
  error(tostring(problem or response.body), 0)
end
