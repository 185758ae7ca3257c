-- source: spec/runtime.md 5.1
-- expect: error: nil value
-- modules: 
return function() return http_client.get("http://127.0.0.1/") end
