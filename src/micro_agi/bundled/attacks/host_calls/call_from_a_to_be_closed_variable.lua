-- reason: when the result is known already, but the call is not over
-- run: tool
-- modules: http_client
-- reaches: http_client.get
-- expect: value: "done"
return function()
  local x <close> = setmetatable({}, { __close = function() http_client.get("http://x/") end })
  return "done"
end
