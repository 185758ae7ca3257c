-- reason: one more than the parent reads
-- run: tool
-- modules: http_client
-- expect: error: nested too deeply
return function() local t = {} for _ = 1, 70 do t = { t } end return http_client.get("http://x/", { files = t }) end
