-- Standard base64 with padding. Source: spec/runtime.md 6.4.

local core = ...

local type, sub = type, string.sub
local encode, decode = core.accelerator("base64_encode"), core.accelerator("base64_decode")

local base64 = {}

function base64.encode(data)
  if type(data) ~= "string" then return nil, core.fail("Invalid", "string expected") end
  return encode(data)
end

function base64.decode(text)
  if type(text) ~= "string" then return nil, core.fail("Invalid", "string expected") end
  local result = decode(text)
  if sub(result, 1, 1) == "\0" then return nil, core.fail("Invalid", "invalid base64 text") end
  return sub(result, 2)
end

return base64
