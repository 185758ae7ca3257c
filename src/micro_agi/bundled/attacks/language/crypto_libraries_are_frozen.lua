-- reason: a nested library replaced for the next call on the same worker
-- run: tool
-- expect: value: [false, false, false]
-- modules: crypto
return function()
  return {
    (pcall(function() crypto.jwt.verify = function() return {} end end)),
    (pcall(function() crypto.random = {} end)),
    (pcall(rawset, crypto.encrypt, "aes", print)),
  }
end
