-- reason: Python turns long digits into numbers in quadratic time (CVE-2020-10735)
-- run: tool
-- expect: value: ["Internal", "Internal", true]
-- modules: expr
return function()
  local digits = ("9"):rep(900000)
  local _, int = expr.eval("int(s)", { s = digits })
  local _, float = expr.eval("float(s)", { s = digits })
  return { int:kind(), float:kind(), expr.eval("fromJSON(s)", { s = digits:sub(1, 400000) }) == math.maxinteger }
end
