-- reason: more than a frame
-- run: tool
-- modules: http_client
-- expect: error: too large
return function() return http_client.post("http://x/", { body = ("x"):rep(2 << 20) }) end
