-- reason: RFC 7519 `alg: none`, in several spellings
-- run: tool
-- expect: value: ["Internal", "Internal", "Internal"]
-- modules: crypto base64
return function()
  local found = {}
  for n, name in ipairs({ "none", "None", "" }) do
    local header = base64.encode('{"alg":"' .. name .. '"}'):gsub("=", "")
    local _, problem = crypto.jwt.verify(header .. ".eyJleHAiOjQwMDAwMDAwMDB9.", "secret", name)
    found[n] = problem:kind()
  end
  return found
end
