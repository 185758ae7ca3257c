-- reason: Python's classic way out of an evaluator, by attributes
-- run: tool
-- expect: value: [true, true, true, true]
-- modules: expr
return function()
  local found = {}
  for n, source in ipairs({ "''.__class__", "[].__class__.__base__", "now().__class__", "{}.__class__.__mro__[1]" }) do
    local value, problem = expr.eval(source, {})
    found[n] = value == nil and (problem == nil or problem:kind() == "Internal")
  end
  return found
end
