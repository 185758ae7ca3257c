-- reason: by the other function
-- run: tool
-- modules: http_client
-- trial: yes
-- expect: error: not available in a trial
return function() local _, e = http_client.request_batch({ { "GET", "http://x/" } }) error(tostring(e), 0) end
