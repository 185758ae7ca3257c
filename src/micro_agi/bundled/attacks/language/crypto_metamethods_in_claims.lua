-- reason: guest code run by the trusted encoder, through claims and header
-- run: tool
-- expect: value: ["none", "{}"]
-- modules: crypto base64
return function()
  local ran = "none"
  local trap = setmetatable({}, {
    __index = function() ran = "index" end, __pairs = function() ran = "pairs" return next, {} end,
    __len = function() ran = "len" return 9 end,
  })
  local token = crypto.jwt.encode(trap, "k")
  return { ran, base64.decode(token:match("%.(.-)%.") .. "=") }
end
