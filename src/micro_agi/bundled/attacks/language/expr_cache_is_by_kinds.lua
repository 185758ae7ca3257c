-- reason: a program checked for one environment reused for another
-- run: tool
-- expect: value: ["Internal", 3]
-- modules: expr
return function()
  local good = expr.compile("a + 1", { a = 2 })
  local _, problem = expr.compile("a + 1", { a = "text" })
  return { problem:kind(), good:run({ a = 2 }) }
end
