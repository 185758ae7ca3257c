-- reason: some parsers take \\ for /
-- run: web
-- allow: http://open.test:{open}/*
-- addresses: *
-- expect: error: 
return function(net)
  local response, problem = http_client.get("http://127.0.0.1:" .. net.secret .. "\\@open.test:" .. net.open .. "/")
  error(tostring(problem or response.body), 0)
end
