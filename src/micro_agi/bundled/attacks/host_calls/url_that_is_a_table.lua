-- reason: a __tostring that answers differently each time
-- run: tool
-- modules: http_client
-- expect: error: string expected
return function()
  local n = 0
  return http_client.get(setmetatable({}, { __tostring = function() n = n + 1 return n == 1 and "http://open/" or "http://secret/" end }))
end
