-- reason: the one thing a formula can ask the parent for, asked with paths
-- run: tool
-- expect: value: ["Internal", "Internal", "Internal"]
-- modules: expr
return function()
  local found = {}
  for n, name in ipairs({ "../../etc/passwd", "/etc/passwd", "A/../../x" }) do
    local _, problem = expr.eval("timezone(n)", { n = name })
    found[n] = problem:kind()
  end
  return found
end
