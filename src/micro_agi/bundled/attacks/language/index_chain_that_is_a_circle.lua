-- reason: __index tables in a ring
-- run: tool
-- expect: error: 
return function()
  local a, b = {}, {}
  setmetatable(a, { __index = b })
  setmetatable(b, { __index = a })
  return a.x
end
