-- What a YAML word without quotes means: the rules of the documents' runtime (yaml.v3), which
-- are YAML 1.2's core schema with a few of 1.1's habits. One function for decoding, and for
-- encoding to know what needs quotes. Source: spec/runtime.md 6.3.

local core = ...

local tonumber = tonumber
local sub, find, match, gsub, byte = string.sub, string.find, string.match, string.gsub, string.byte
local number_type, huge, mininteger = math.type, math.huge, math.mininteger

local WORDS = {
  [""] = { "null" }, ["~"] = { "null" }, null = { "null" }, Null = { "null" }, NULL = { "null" },
  ["true"] = { "bool", true }, True = { "bool", true }, TRUE = { "bool", true },
  ["false"] = { "bool", false }, False = { "bool", false }, FALSE = { "bool", false },
  [".nan"] = { "float", 0 / 0 }, [".NaN"] = { "float", 0 / 0 }, [".NAN"] = { "float", 0 / 0 },
  ["<<"] = { "merge" },
}
for word in string.gmatch(".inf .Inf .INF", "%S+") do
  WORDS[word], WORDS["+" .. word], WORDS["-" .. word] = { "float", huge }, { "float", huge }, { "float", -huge }
end

local DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

-- Days from 1970-01-01, by the proleptic Gregorian calendar.
local function days_of(year, month, day)
  if month < 3 then year, month = year - 1, month + 12 end
  return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 719469
end

local function date_of(year, month, day)
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  if month < 1 or month > 12 or day < 1 then return nil end
  local leap = month == 2 and year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  if day > DAYS[month] + (leap and 1 or 0) then return nil end
  return days_of(year, month, day) * 86400
end

-- Seconds that an offset as `Z`, `+01:00` or "" means, or nil.
local function offset_of(text)
  if text == "Z" then return 0 end
  local sign, hours, minutes = match(text, "^([-+])(%d%d):(%d%d)$")
  if not sign or tonumber(hours) > 24 or tonumber(minutes) > 60 then return nil end
  return (tonumber(hours) * 3600 + tonumber(minutes) * 60) * (sign == "-" and -1 or 1)
end

-- Unix seconds, or nil if it is no date or no moment.
local function moment_of(text)
  local year, month, day, rest = match(text, "^(%d%d%d%d)%-(%d%d?)%-(%d%d?)(.*)$")
  local midnight = year and date_of(year, month, day)
  if not midnight then return nil end
  if rest == "" then return midnight end
  local between, hour, minute, second, tail = match(rest, "^([Tt ])(%d%d?):(%d%d?):(%d%d?)(.*)$")
  if not between or tonumber(hour) > 23 or tonumber(minute) > 59 or tonumber(second) > 59 then return nil end
  local _, stop = find(tail, "^[.,]%d+")
  local zone, offset = sub(tail, (stop or 0) + 1), 0
  if between == " " then
    if zone ~= "" then return nil end
  else
    offset = offset_of(zone)
    if not offset then return nil end
  end
  return midnight + tonumber(hour) * 3600 + tonumber(minute) * 60 + tonumber(second) - offset
end

-- How many bits the digits of a base 2, 8 or 16 number take.
local function bits_of(digits, per_digit)
  digits = gsub(digits, "^0+", "")
  if digits == "" then return 0 end
  local first, bits = tonumber(sub(digits, 1, 1), 16), 0
  while first > 0 do first, bits = first >> 1, bits + 1 end
  return (#digits - 1) * per_digit + bits
end

local BASES = { x = { 16, 4, "^%x+$" }, o = { 8, 3, "^[0-7]+$" }, b = { 2, 1, "^[01]+$" } }

-- An integer written with a prefix, or nil. What takes all 64 bits does not fit.
local function based(sign, letter, digits)
  local base = BASES[letter]
  if not base or not match(digits, base[3]) then return nil end
  local bits = bits_of(digits, base[2])
  if bits > 64 then return nil end
  local value = tonumber(digits, base[1])
  if bits == 64 then
    if sign == "" then return "overflow" end
    return sign == "-" and value == mininteger and "int" or nil, value
  end
  return "int", sign == "-" and -value or value
end

local function integer_of(sign, body)
  local letter, digits = match(body, "^0([xXoObB])(%w+)$")
  if letter then return based(sign, letter == "X" and "x" or letter == "O" and "o" or letter == "B" and "b" or letter, digits) end
  if match(body, "^0[0-7]+$") then return based(sign, "o", sub(body, 2)) end
  if body ~= "0" and not match(body, "^[1-9]%d*$") then return nil end
  local value = tonumber((sign == "-" and "-" or "") .. body)
  if number_type(value) == "integer" then return "int", value end
  if sign == "" and (#body < 20 or #body == 20 and body <= "18446744073709551615") then return "overflow" end
  return nil
end

local function float_of(sign, body)
  local mantissa = match(body, "^([%d.]+)[eE][-+]?%d+$") or body
  if not (match(mantissa, "^%d+%.?%d*$") or match(mantissa, "^%.%d+$")) then return nil end
  local value = tonumber(body) + 0.0
  if value == huge then return nil end
  return "float", sign == "-" and -value or value
end

-- The kind of a word and its value: null, bool, int, float, timestamp, merge or str; and
-- "overflow" for a whole number that only an unsigned type holds.
return function(text)
  local word = WORDS[text]
  if word then return word[1], word[2] end
  local first = byte(text)
  if first == 46 then -- a dot
    local kind, value = float_of("", text)
    if kind then return kind, value end
    return "str", text
  end
  if not (first == 43 or first == 45 or first >= 48 and first <= 57) then return "str", text end
  local moment = moment_of(text)
  if moment then return "timestamp", moment end
  local sign, body = match(gsub(text, "_", ""), "^([-+]?)(.*)$")
  local kind, value = integer_of(sign, body)
  if kind then return kind, value end
  kind, value = float_of(sign, body)
  if kind then return kind, value end
  return "str", text
end
