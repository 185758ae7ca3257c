-- reason: spec/sandbox.md 1.3: backtracking that no deadline inside the process stops
-- run: tool
-- expect: value: [false, "Internal"]
-- modules: expr
return function()
  local slow = expr.eval("s matches '^(a+)+$'", { s = ("a"):rep(50000) .. "b" })
  local _, big = expr.eval("'a' matches '(((a{99}){99}){99}){99}'")
  return { slow, big:kind() }
end
