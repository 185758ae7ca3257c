-- Read the values of a JSON text that was parsed in C (pure/json_text.py). What is refused here, the
-- decoder of `json.lua` reads once more from the text: it knows where and why.
--
-- Each reader gets the type of its value and returns the value, the type of the next one and
-- the position behind it, so that a value takes one call of `string.unpack`.

local core = ...

local byte, unpack_bytes, next, pcall, error = string.byte, string.unpack, next, pcall, error
local maxinteger, mininteger = math.maxinteger, math.mininteger
local marks, new_map = core.marks, core.new_map

local MAX_DEPTH = 128
core.json_depth = MAX_DEPTH
local AGAIN = {} -- raised: this is not for us to read

-- The letters of marshal's types: u i g l ( [. Constants, as each value is compared with some.
local TEXT <const>, INTEGER <const>, FLOAT <const> = 0x75, 0x69, 0x67
local BIG <const>, PAIRS <const>, LIST <const> = 0x6c, 0x28, 0x5b
local CONSTANTS = { [byte("T")] = true, [byte("F")] = false } -- and `N`, which is nil

local read, read_object

local function read_list(s, at, depth)
  local count, code
  count, code, at = unpack_bytes("<i4B", s, at)
  -- As for maps: room for a few from the beginning.
  local list, holes = count == 2 and { nil, nil } or count == 1 and { nil } or {}, false
  local unpack_bytes, shallow = unpack_bytes, depth < MAX_DEPTH
  for n = 1, count do
    local value
    if code == TEXT then value, code, at = unpack_bytes("<s4B", s, at)
    elseif code == PAIRS and shallow then value, code, at = read_object(s, at, depth + 1)
    else value, code, at = read(s, at, code, depth) end
    if value == nil then holes = true end
    list[n] = value
  end
  if holes or count == 0 then marks.lists[list] = count end
  return list, code, at
end

-- A pair is a tuple's letter, its length of four bytes, a text's letter, the name, and the value. So
-- what follows a value is known, but for the last one, and the next name is read together with it.
function read_object(s, at, depth)
  local count, name, code, nulls, _
  count, code, at = unpack_bytes("<i4B", s, at)
  local map, unpack_bytes = new_map(count), unpack_bytes
  if count == 0 then
    marks.objects[map] = true
    return map, code, at
  end
  name, code, at = unpack_bytes("<s4B", s, at + 5)
  for left = count - 1, 0, -1 do
    local this, value = name, nil
    if map[this] ~= nil or (nulls and nulls[this]) then error(AGAIN, 0) end
    if left == 0 then value, code, at = read(s, at, code, depth)
    elseif code == TEXT then value, _, name, code, at = unpack_bytes("<s4I6s4B", s, at)
    elseif code == INTEGER then value, _, name, code, at = unpack_bytes("<i4I6s4B", s, at)
    elseif code == FLOAT then value, _, name, code, at = unpack_bytes("<dI6s4B", s, at)
    else
      value, code, at = read(s, at, code, depth)
      name, code, at = unpack_bytes("<s4B", s, at + 5)
    end
    if value == nil then
      nulls = nulls or {}
      nulls[this] = true
    end
    map[this] = value
  end
  if nulls and next(map) == nil then marks.objects[map] = true end
  return map, code, at
end

-- Fifteen bits in each digit; four digits and a little fit, the rest saturates.
local function read_big(s, at)
  local digits, code
  digits, at = unpack_bytes("<i4", s, at)
  local negative, value, exceeds = digits < 0, 0, false
  if negative then digits = -digits end
  for n = digits - 1, 0, -1 do
    if value > (maxinteger >> 15) then exceeds = true break end
    value = value << 15 | unpack_bytes("<I2", s, at + 2 * n)
  end
  code, at = unpack_bytes("B", s, at + 2 * digits)
  if exceeds then value = negative and mininteger or maxinteger
  elseif negative then value = -value end
  return value, code, at
end

function read(s, at, code, depth)
  if code == TEXT then return unpack_bytes("<s4B", s, at) end
  if code == INTEGER then return unpack_bytes("<i4B", s, at) end
  if code == FLOAT then return unpack_bytes("<dB", s, at) end
  if code == PAIRS or code == LIST then
    if depth >= MAX_DEPTH then error(AGAIN, 0) end
    return (code == PAIRS and read_object or read_list)(s, at, depth + 1)
  end
  if code == BIG then return read_big(s, at) end
  return CONSTANTS[code], byte(s, at), at + 1
end

-- Return whether the value could be read, and it.
return function(parsed)
  local ok, value = pcall(read, parsed, 2, byte(parsed), 0)
  if not ok and value ~= AGAIN then error(value, 0) end
  return ok, value
end
