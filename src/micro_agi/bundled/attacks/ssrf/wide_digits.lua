-- reason: １２７ becomes 127 when a name is prepared
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://１２７.0.0.1:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
