-- reason: a zone hides the block from a sloppy parser
-- run: web
-- expect: error: 
return function(net)
  local response, problem = http_client.get("http://[fe80::1%25lo]/")
  error(tostring(problem or response.body), 0)
end
