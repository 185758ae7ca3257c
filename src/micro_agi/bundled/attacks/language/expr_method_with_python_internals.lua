-- reason: a time's method table asked for Python's own methods
-- run: tool
-- expect: value: ["Internal", "Internal", "Internal"]
-- modules: expr
return function()
  local found = {}
  for n, source in ipairs({ "now().__init__()", "duration('1s').__reduce__()", "timezone('UTC').__getstate__()" }) do
    local _, problem = expr.eval(source, {})
    found[n] = problem:kind()
  end
  return found
end
