-- reason: workers forked from one zygote share whatever state a user-space generator had
-- run: tool
-- expect: value: 500
-- modules: crypto
return function()
  local seen, count = {}, 0
  for _ = 1, 500 do
    local nonce = crypto.encrypt.aes("", ("k"):rep(16)):sub(1, 12)
    if not seen[nonce] then count = count + 1 end
    seen[nonce] = true
  end
  return count
end
