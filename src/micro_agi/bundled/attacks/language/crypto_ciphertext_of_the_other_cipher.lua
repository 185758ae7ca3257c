-- reason: confusing two ciphers that share layout and key length
-- run: tool
-- expect: value: ["Internal", "Internal"]
-- modules: crypto
return function()
  local key = ("k"):rep(32)
  local _, a = crypto.decrypt.aes(crypto.encrypt.chacha20("secret", key), key)
  local _, b = crypto.decrypt.chacha20(crypto.encrypt.aes("secret", key), key)
  return { a:kind(), b:kind() }
end
