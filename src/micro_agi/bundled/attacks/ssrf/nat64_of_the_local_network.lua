-- reason: 64:ff9b:1::/48 too (RFC 8215)
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://[64:ff9b:1::7f00:1]:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
