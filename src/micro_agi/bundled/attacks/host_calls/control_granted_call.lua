-- reason: a granted function answers
-- run: tool
-- modules: http_client
-- reaches: http_client.get
-- expect: value: "canary: a host function ran"
return function() return (http_client.get("http://x/")) end
