-- reason: reading options must not run code that changes them
-- run: tool
-- modules: http_client
-- expect: error: __index ran in the tool
return function()
  local options = setmetatable({}, { __index = function() error("__index ran in the tool", 0) end })
  return http_client.get("http://x/", options)
end
