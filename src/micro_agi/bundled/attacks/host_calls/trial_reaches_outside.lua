-- reason: the tests of a draft have no effects
-- run: tool
-- modules: http_client
-- trial: yes
-- expect: error: not available in a trial
return function() local _, e = http_client.get("http://x/") error(tostring(e), 0) end
