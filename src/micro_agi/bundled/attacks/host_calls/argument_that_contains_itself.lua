-- reason: the encoder of arguments
-- run: tool
-- modules: http_client
-- expect: error: nested too deeply
return function() local t = {} t.t = t return http_client.get("http://x/", { files = { t } }) end
