-- reason: a value of a few objects that is a billion when written out
-- run: tool
-- expect: value: "Internal"
-- modules: expr
return function()
  local _, problem = expr.eval("reduce(1..40, [#acc, #acc], 1)")
  return problem:kind()
end
