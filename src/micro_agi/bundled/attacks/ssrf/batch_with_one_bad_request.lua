-- reason: the good ones must not carry the bad one
-- run: web
-- expect: error: not a public address
return function(net)
  local _, problems = http_client.request_batch({
    { "GET", "http://open.test:" .. net.open .. "/" }, { "GET", "http://127.0.0.1:" .. net.secret .. "/" },
  })
  error(tostring(problems[2]), 0)
end
