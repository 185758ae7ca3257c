-- reason: one caller's variables left behind in a cached program
-- run: tool
-- expect: value: ["first", true, "Internal"]
-- modules: expr
return function()
  local first = expr.eval("secret", { secret = "first" })
  local second = expr.eval("secret", {})
  local _, third = expr.eval("secret")
  return { first, second == nil, third:kind() }
end
