-- reason: guest code run by the trusted encoder, through the variables
-- run: tool
-- expect: value: ["none", 0]
-- modules: expr
return function()
  local ran = "none"
  local trap = setmetatable({}, {
    __index = function() ran = "index" end, __len = function() ran = "len" return 3 end,
    __pairs = function() ran = "pairs" return next, {} end,
  })
  return { ran, (expr.eval("len(t)", { t = trap })) }
end
