-- Make and read UUIDs. Source: spec/runtime.md 6.7; layouts are RFC 9562.

local core = ...

local type, tonumber = type, tonumber
local gsub, format, byte, sub, lower, match, char = string.gsub, string.format, string.byte, string.sub, string.lower, string.match, string.char
local pack, unpack = string.pack, string.unpack
local seed, md5, sha1 = core.accelerator("seed"), core.accelerator("md5"), core.accelerator("sha1")

-- Between 1582-10-15 and 1970-01-01, in units of 100 ns.
local GREGORIAN = 0x01b21dd213814000
local VARIANTS = { "NCS", "RFC4122", "Microsoft", "Future" }

local function text_of(raw)
  local hex = gsub(raw, ".", function(character) return format("%02x", byte(character)) end)
  return (gsub(hex, "^(........)(....)(....)(....)(.*)$", "%1-%2-%3-%4-%5"))
end

-- Sixteen bytes with version and variant set.
local function stamped(raw, version)
  return sub(raw, 1, 6) .. char(byte(raw, 7) & 0x0f | version << 4) .. sub(raw, 8, 8)
    .. char(byte(raw, 9) & 0x3f | 0x80) .. sub(raw, 10, 16)
end

-- Sixteen bytes of any accepted form of text, or nil.
local function raw_of(text)
  text = lower(text)
  text = match(text, "^urn:uuid:(.*)$") or match(text, "^{(.*)}$") or text
  local hex = text
  if #text == 36 then
    if not match(text, "^%x+%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x+$") or sub(text, 9, 9) ~= "-" then return nil end
    hex = gsub(text, "-", "")
  end
  if #hex ~= 32 or not match(hex, "^%x+$") then return nil end
  return (gsub(hex, "..", function(pair) return char(tonumber(pair, 16)) end))
end

local function parsed(text)
  if type(text) ~= "string" then return nil, core.fail("Invalid", "input must be a string") end
  local raw = raw_of(text)
  if not raw then return nil, core.fail("Invalid", "invalid UUID format") end
  return raw, nil
end

local function variant_of(raw)
  local bits = byte(raw, 9)
  if bits < 0x80 then return VARIANTS[1] end
  if bits < 0xc0 then return VARIANTS[2] end
  return bits < 0xe0 and VARIANTS[3] or VARIANTS[4]
end

local uuid = {}

function uuid.v1()
  local ticks, random = core.now() // 100 + GREGORIAN, seed()
  local raw = pack(">I4I2I2", ticks & 0xffffffff, ticks >> 32 & 0xffff, ticks >> 48 & 0x0fff) .. sub(random, 1, 2)
  -- A random node has the multicast bit set: it can never be a network card's.
  return text_of(stamped(raw .. char(byte(random, 3) | 1) .. sub(random, 4, 8), 1)), nil
end

function uuid.v4() return text_of(stamped(seed(), 4)), nil end

function uuid.v7()
  local milliseconds = core.now() // 1000000
  return text_of(stamped(pack(">I2I4", milliseconds >> 32 & 0xffff, milliseconds & 0xffffffff) .. sub(seed(), 1, 10), 7)), nil
end

local function named(version, digest)
  return function(namespace, name)
    if type(namespace) ~= "string" or type(name) ~= "string" then
      return nil, core.fail("Invalid", "namespace and name must be strings")
    end
    local raw = raw_of(namespace)
    if not raw then return nil, core.fail("Invalid", "invalid namespace UUID") end
    return text_of(stamped(sub(digest(raw .. name), 1, 16), version)), nil
  end
end
uuid.v3, uuid.v5 = named(3, md5), named(5, sha1)

function uuid.validate(value)
  return type(value) == "string" and raw_of(value) ~= nil, nil
end

function uuid.version(text)
  local raw, problem = parsed(text)
  if not raw then return nil, problem end
  return byte(raw, 7) >> 4, nil
end

function uuid.variant(text)
  local raw, problem = parsed(text)
  if not raw then return nil, problem end
  return variant_of(raw), nil
end

function uuid.parse(text)
  local raw, problem = parsed(text)
  if not raw then return nil, problem end
  local facts = { version = byte(raw, 7) >> 4, variant = variant_of(raw) }
  if facts.version == 1 then
    local low, middle, high = unpack(">I4I2I2", raw)
    facts.timestamp = ((high & 0x0fff) << 48 | middle << 32 | low) - GREGORIAN
    facts.timestamp = facts.timestamp // 10000000
    facts.node = sub(raw, 11, 16)
  elseif facts.version == 7 then
    local high, low = unpack(">I2I4", raw)
    facts.timestamp = (high << 32 | low) // 1000
  end
  return facts, nil
end

function uuid.format(text, style)
  local raw, problem = parsed(text)
  if not raw then return nil, problem end
  local standard = text_of(raw)
  if style == nil or style == "standard" then return standard, nil end
  if style == "simple" then return (gsub(standard, "-", "")), nil end
  if style == "urn" then return "urn:uuid:" .. standard, nil end
  return nil, core.fail("Invalid", "unsupported format")
end

return uuid
