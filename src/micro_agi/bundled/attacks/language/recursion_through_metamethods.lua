-- reason: __index calling itself in C
-- run: tool
-- expect: error: stack overflow
return function()
  local t
  t = setmetatable({}, { __index = function(_, k) return t[k .. "x"] end })
  return t.x
end
