-- reason: a token signed with the public key as if it were a shared secret (CVE-2015-9235)
-- run: tool
-- expect: value: [true, "Invalid", "Invalid"]
-- modules: crypto
return function()
  local public = "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAK\n-----END PUBLIC KEY-----\n"
  local token, refused = crypto.jwt.encode({ sub = "root", exp = 4000000000 }, public)
  local _, verified = crypto.jwt.verify("eyJhbGciOiJIUzI1NiJ9.e30.AA", public)
  return { token == nil, refused:kind(), verified:kind() }
end
