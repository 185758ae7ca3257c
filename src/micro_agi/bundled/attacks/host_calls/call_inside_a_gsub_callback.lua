-- reason: a host call across C keeps its answer
-- run: tool
-- modules: http_client
-- reaches: http_client.get
-- expect: value: "canary: a host function ran"
return function() return (("x"):gsub("x", function() return (http_client.get("http://x/")) end)) end
