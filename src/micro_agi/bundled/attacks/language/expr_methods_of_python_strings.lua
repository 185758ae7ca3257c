-- reason: a method call that would reach str.format and its attribute syntax
-- run: tool
-- expect: value: ["a string has no method format", "a array has no method append", "a map has no method pop"]
-- modules: expr
return function()
  local found = {}
  for n, source in ipairs({ "'{0.__class__}'.format(1)", "[1].append(2)", "{a: 1}.pop('a')" }) do
    local _, problem = expr.eval(source, {})
    found[n] = problem:message()
  end
  return found
end
