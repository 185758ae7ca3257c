-- reason: 2001:0::/32 carries an address, inverted
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://[2001:0:7f00:1::1]:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
