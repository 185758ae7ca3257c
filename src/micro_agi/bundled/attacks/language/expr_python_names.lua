-- reason: Python's builtins by name, called and mentioned
-- run: tool
-- expect: value: ["Internal", "Internal", "Internal", "Internal", "none"]
-- modules: expr
return function()
  local found = {}
  for n, source in ipairs({ "__import__('os')", "eval('1')", "open('/etc/passwd')", "getattr(1, 'real')" }) do
    local _, problem = expr.eval(source, {})
    found[n] = problem:kind()
  end
  found[5] = expr.eval("__builtins__", {}) == nil and "none"
  return found
end
