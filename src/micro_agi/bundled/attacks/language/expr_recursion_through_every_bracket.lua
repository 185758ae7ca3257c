-- reason: nesting of every sort against the parser's stack
-- run: tool
-- expect: value: 6
-- modules: expr
return function()
  local refused = 0
  for _, pair in ipairs({ { "(", ")" }, { "[", "]" }, { "{a: ", "}" }, { "not ", "" }, { "len(", ")" }, { "if true {", "} else {1}" } }) do
    local _, problem = expr.eval(pair[1]:rep(500) .. "1" .. pair[2]:rep(500))
    if problem and problem:kind() == "Internal" then refused = refused + 1 end
  end
  return refused
end
