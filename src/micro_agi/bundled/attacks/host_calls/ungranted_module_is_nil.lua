-- reason: spec/runtime.md 5.1
-- run: tool
-- expect: error: nil value
return function() return http_client.get("http://127.0.0.1/") end
