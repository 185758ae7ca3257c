-- reason: ① is 1 to Unicode normalisation
-- run: web
-- expect: error: not a public address
return function(net)
  local response, problem = http_client.get("http://①②⑦.⓪.⓪.①:" .. net.secret .. "/")
  error(tostring(problem or response.body), 0)
end
