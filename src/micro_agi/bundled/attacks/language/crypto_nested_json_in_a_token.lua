-- reason: a signed token whose claims nest beyond every stack
-- run: tool
-- expect: value: "Internal"
-- modules: crypto base64
return function()
  local deep = ('{"a":'):rep(20000) .. "1" .. ("}"):rep(20000)
  local function part(text) return (base64.encode(text):gsub("[+/=]", { ["+"] = "-", ["/"] = "_", ["="] = "" })) end
  local _, problem = crypto.jwt.verify(part('{"alg":"HS256"}') .. "." .. part(deep) .. ".AA", "k")
  return problem:kind()
end
