-- reason: spec/runtime.md 6.9, limits on repeat
-- run: tool
-- expect: value: ["Internal", "Internal", "Internal"]
-- modules: expr
return function()
  local found = {}
  for n, source in ipairs({ "repeat('x', 1 << 40)", "repeat('x', 9223372036854775807)", "reduce(1..40, #acc + #acc, 'xx')" }) do
    local _, problem = expr.eval(source)
    found[n] = problem:kind()
  end
  return found
end
