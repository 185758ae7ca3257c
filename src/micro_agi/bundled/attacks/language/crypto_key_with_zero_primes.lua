-- reason: a private key whose numbers would divide by zero or never end, past the skipped check
-- run: tool
-- expect: value: ["Invalid", "Invalid"]
-- modules: crypto base64
return function()
  local function integer(bytes) return "\2" .. string.char(#bytes) .. bytes end
  local function pem(...)
    local body = "\2\1\0"
    for _, bytes in ipairs({ ... }) do body = body .. integer(bytes) end
    local sequence = "\48\129" .. string.char(#body) .. body
    return "-----BEGIN RSA PRIVATE KEY-----\n" .. base64.encode(sequence) .. "\n-----END RSA PRIVATE KEY-----\n"
  end
  local zero, big = "\0", "\127" .. ("\255"):rep(63)
  local _, zeros = crypto.jwt.encode({}, pem(big, "\3", "\1", zero, zero, zero, zero, zero), "RS256")
  local small = "\1"
  local _, ones = crypto.jwt.encode({}, pem(small, small, small, small, small, small, small, small), "RS256")
  return { zeros:kind(), ones:kind() }
end
