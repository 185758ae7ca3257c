-- reason: keep a function of a module under another name; the grant is looked up at the call
-- run: tool
-- expect: error: nil value
local get = http_client and http_client.get
return function() return get("http://x/") end
