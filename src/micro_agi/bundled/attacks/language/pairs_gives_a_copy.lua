-- reason: what pairs shows of a library is not the library
-- run: tool
-- expect: value: "string"
return function()
  local _, copy = pairs(string)
  copy.upper = nil
  copy.evil = print
  return type(("x"):upper()) == "string" and string.evil == nil and type("x") or "changed"
end
