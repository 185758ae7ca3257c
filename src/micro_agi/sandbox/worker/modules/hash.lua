-- Digests in hexadecimal or raw. HMAC takes the data first, and FNV is FNV-1: both as the
-- documents have it. Source: spec/runtime.md 6.5.

local core = ...

local type, gsub, format, byte = type, string.gsub, string.format, string.byte

local function hex(bytes)
  return (gsub(bytes, ".", function(character) return format("%02x", byte(character)) end))
end

local function shown(bytes, raw) return raw == true and bytes or hex(bytes) end

local hash = {}

for name in string.gmatch("md5 sha1 sha256 sha512", "%S+") do
  local digest, sign = core.accelerator(name), core.accelerator("hmac_" .. name)
  hash[name] = function(data, raw)
    if type(data) ~= "string" then return nil, core.fail("Invalid", "data must be a string") end
    return shown(digest(data), raw), nil
  end
  hash["hmac_" .. name] = function(data, secret, raw)
    if type(data) ~= "string" then return nil, core.fail("Invalid", "data must be a string") end
    if type(secret) ~= "string" then return nil, core.fail("Invalid", "secret must be a string") end
    return shown(sign(data, secret), raw), nil
  end
end

local function fnv(data, start, prime, mask)
  local value = start
  for at = 1, #data do value = (value * prime & mask) ~ byte(data, at) end
  return value
end

function hash.fnv32(data)
  if type(data) ~= "string" then return nil, core.fail("Invalid", "data must be a string") end
  return fnv(data, 0x811c9dc5, 0x01000193, 0xffffffff), nil
end

-- As a float, like the documents' runtime: the low bits are lost.
function hash.fnv64(data)
  if type(data) ~= "string" then return nil, core.fail("Invalid", "data must be a string") end
  local value = fnv(data, 0xcbf29ce484222325, 0x100000001b3, -1)
  return value >= 0 and value + 0.0 or value + 2.0 ^ 64, nil
end

return hash
