-- reason: spec/runtime.md 6.9, limits on ranges
-- run: tool
-- expect: value: ["Internal", "Internal", "Internal", "Internal"]
-- modules: expr
return function()
  local found = {}
  for n, source in ipairs({ "1..9223372036854775807", "len(-9223372036854775807..1)", "map(1..99999, 1..99999)", "sum(flatten(map(1..999, 1..999)))" }) do
    local _, problem = expr.eval(source)
    found[n] = problem:kind()
  end
  return found
end
