-- reason: 2002: carries an IPv4 address
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://[2002:7f00:1::]:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
