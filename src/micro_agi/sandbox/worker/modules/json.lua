-- JSON with the documents' rules: sorted keys, `<>&` escaped, holes refused, 128 levels.
-- Source: spec/runtime.md 6.2. Guest metamethods never run: tables are read raw.

local core = ...

local type, tonumber, tostring, next, rawget, pcall, error = type, tonumber, tostring, next, rawget, pcall, error
local find, sub, byte, gsub, format, match, rep = string.find, string.sub, string.byte, string.gsub, string.format, string.match, string.rep
local concat, sort, number_type, floor, huge = table.concat, table.sort, math.type, math.floor, math.huge
local utf8_len, utf8_char = utf8.len, utf8.char
local maxinteger, mininteger = math.maxinteger, math.mininteger
local marks, fail = core.marks, core.fail

local MAX_ENCODED_DEPTH, MAX_DECODED_DEPTH = 129, core.json_depth

------------------------------------------------------------------------------------ encode
local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }
for code = 0, 31 do
  local character = string.char(code)
  ESCAPES[character] = ESCAPES[character] or format("\\u%04x", code)
end
for character in string.gmatch("<>&", ".") do ESCAPES[character] = format("\\u%04x", byte(character)) end
local LINE_SEPARATORS = { ["\xe2\x80\xa8"] = "\\u2028", ["\xe2\x80\xa9"] = "\\u2029" }

-- Replace each byte that is not part of valid UTF-8 by U+FFFD.
local function repair(text)
  local parts, at = {}, 1
  while at <= #text do
    local _, bad = utf8_len(text, at)
    if not bad then
      parts[#parts + 1] = sub(text, at)
      break
    end
    parts[#parts + 1] = sub(text, at, bad - 1)
    parts[#parts + 1] = "\xef\xbf\xbd"
    at = bad + 1
  end
  return concat(parts)
end

local function quote(text)
  -- Most texts are plain, and a class whose first member fits most bytes is quick.
  if not find(text, "[^%w ._/:,+-]") then return '"' .. text .. '"' end
  if not utf8_len(text) then text = repair(text) end
  text = gsub(text, '[%c"\\<>&]', ESCAPES)
  if find(text, "\xe2\x80", 1, true) then text = gsub(text, "\xe2\x80[\xa8\xa9]", LINE_SEPARATORS) end
  return '"' .. text .. '"'
end

-- The shortest text that reads back as the same float, with an exponent.
local function shortest(value)
  for digits = 15, 17 do
    local text = format("%." .. (digits - 1) .. "e", value)
    if tonumber(text) == value then return text end
  end
end

local function float_text(value, top)
  if value ~= value or value == huge or value == -huge then return "null" end
  if value == floor(value) and value > -2 ^ 53 and value < 2 ^ 53 then return format("%d", value) end
  local text = format("%.15g", value)
  if tonumber(text) == value and not find(text, "e", 1, true) then return text end
  local sign, whole, fraction, exponent = match(shortest(value), "^(-?)(%d)%.?(%d*)e([-+]%d+)$")
  local digits = gsub(whole .. fraction, "0+$", "")
  exponent = tonumber(exponent)
  if top and (exponent >= 21 or exponent < -6) then
    local tail = #digits > 1 and "." .. sub(digits, 2) or ""
    return format("%s%s%se%s%d", sign, sub(digits, 1, 1), tail, exponent < 0 and "-" or "+", exponent < 0 and -exponent or exponent)
  end
  if exponent < 0 then return sign .. "0." .. rep("0", -exponent - 1) .. digits end
  if #digits <= exponent + 1 then return sign .. digits .. rep("0", exponent + 1 - #digits) end
  return sign .. sub(digits, 1, exponent + 1) .. "." .. sub(digits, exponent + 2)
end

-- What an empty table becomes; `validate` has another answer than `encode`.
local function empty_for_encode(map) return marks.objects[map] and "{}" or "[]" end
local empty_text = empty_for_encode

local put

local function put_list(list, length, out, n, depth)
  out[n + 1] = "["
  n = n + 1
  for i = 1, length do
    if i > 1 then
      n = n + 1
      out[n] = ","
    end
    n = put(rawget(list, i), out, n, depth)
  end
  out[n + 1] = "]"
  return n + 1
end

local function key_text(key)
  if type(key) == "number" then return core.number_text(key) end
  if type(key) == "boolean" then return tostring(key) end
  return error(fail("Internal", "cannot encode a key of type " .. core.kind_of(key)), 0)
end

local names = {} -- quoted names of the text under construction: lists of objects repeat them

local function quoted_name(key)
  local text = quote(key) .. ":"
  names[key] = text
  return text
end

local function put_object(map, out, n, depth)
  local keys, count, values = {}, 0, map
  for key in next, map do
    if type(key) ~= "string" then
      values = nil
      break
    end
    count = count + 1
    keys[count] = key
  end
  if not values then
    keys, count, values = {}, 0, {}
    for key, value in next, map do
      if type(key) ~= "string" then key = key_text(key) end
      if values[key] == nil then
        count = count + 1
        keys[count] = key
      end
      values[key] = value
    end
  end
  if count > 1 then sort(keys) end
  out[n + 1] = "{"
  n = n + 1
  for i = 1, count do
    local key = keys[i]
    if i > 1 then
      n = n + 1
      out[n] = ","
    end
    n = n + 1
    out[n] = names[key] or quoted_name(key)
    n = put(rawget(values, key), out, n, depth, key)
  end
  out[n + 1] = "}"
  return n + 1
end

-- A table with an element 1 is meant as a list: it must be one without holes.
local function list_length(list)
  local count, largest = 0, 0
  for key in next, list do
    if number_type(key) ~= "integer" or key < 1 then
      error(fail("Internal", "mixed table: both list elements and other keys"), 0)
    end
    count = count + 1
    if key > largest then largest = key end
  end
  if count ~= largest then error(fail("Internal", "sparse array: the list has holes"), 0) end
  return count
end

local function put_table(value, out, n, depth, key)
  if core.is_object(value) then
    out[n + 1] = core.error_state(value) and quote(tostring(value)) or "null"
    return n + 1
  end
  if depth >= MAX_ENCODED_DEPTH then
    error(fail("Internal", "nested too deeply: more than " .. MAX_ENCODED_DEPTH - 1 .. " levels, or the table contains itself"), 0)
  end
  if next(value) == nil then
    out[n + 1] = empty_text(value, key)
    return n + 1
  end
  if rawget(value, 1) ~= nil or marks.lists[value] then
    return put_list(value, list_length(value), out, n, depth + 1)
  end
  return put_object(value, out, n, depth + 1)
end

function put(value, out, n, depth, key)
  local kind = type(value)
  if kind == "table" then return put_table(value, out, n, depth, key) end
  n = n + 1
  if kind == "string" then out[n] = quote(value)
  elseif kind == "number" then
    out[n] = number_type(value) == "integer" and format("%d", value) or float_text(value, depth == 0)
  elseif kind == "boolean" then out[n] = value and "true" or "false"
  else out[n] = "null" end
  return n
end

-- Run `work`; an error object it raises becomes the second result, anything else goes on.
local function guarded(work, ...)
  local ok, result = pcall(work, ...)
  if ok then return result, nil end
  if core.error_state(result) then return nil, result end
  return error(result, 0)
end

local function encode(value)
  local out = {}
  names = {}
  local n = put(value, out, 0, 0)
  names = {}
  return concat(out, "", 1, n)
end

------------------------------------------------------------------------------------ decode
local UNESCAPES = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function malformed(what, at)
  error(fail("Internal", "invalid JSON at byte " .. at .. ": " .. what), 0)
end

local function take_unicode(s, at)
  local digits = match(s, "^u(%x%x%x%x)", at)
  if not digits then malformed("a bad \\u escape", at) end
  local code = tonumber(digits, 16)
  if code < 0xd800 or code > 0xdfff then return utf8_char(code), at + 5 end
  local low = code < 0xdc00 and match(s, "^\\u([dD][c-fC-F]%x%x)", at + 5)
  if not low then malformed("half of a surrogate pair", at) end
  return utf8_char(0x10000 + ((code - 0xd800) << 10) + (tonumber(low, 16) - 0xdc00)), at + 11
end

-- `at` is behind the opening quote; returns the text and the position behind the closing one.
local function take_string(s, at)
  local stop = find(s, '["\\\0-\31]', at)
  if stop and byte(s, stop) == 34 then return sub(s, at, stop - 1), stop + 1 end
  local parts = {}
  while stop do
    parts[#parts + 1] = sub(s, at, stop - 1)
    local code = byte(s, stop)
    if code == 34 then return concat(parts), stop + 1 end
    if code ~= 92 then malformed("a control character in a string", stop) end
    local escape = sub(s, stop + 1, stop + 1)
    if escape == "u" then parts[#parts + 1], at = take_unicode(s, stop + 1)
    else
      parts[#parts + 1] = UNESCAPES[escape] or malformed("an unknown escape", stop)
      at = stop + 2
    end
    stop = find(s, '["\\\0-\31]', at)
  end
  return malformed("a string without an end", at)
end

local function take_number(s, at)
  local _, stop = find(s, "^-?%d+", at)
  if not stop then malformed("not a value", at) end
  local lead = match(s, "^-?0%d", at)
  if lead then stop = at + #lead - 2 end
  local _, fraction = find(s, "^%.%d+", stop + 1)
  local _, exponent = find(s, "^[eE][-+]?%d+", (fraction or stop) + 1)
  local text = sub(s, at, exponent or fraction or stop)
  local value = tonumber(text)
  if fraction or exponent then return value + 0.0, (exponent or fraction) + 1 end
  if number_type(value) == "float" then value = value > 0 and maxinteger or mininteger end
  return value, stop + 1
end

local take

-- The position of the next character that is no white space, and its code; nil at the end.
local function skip(s, at)
  local code = byte(s, at)
  if code and code > 32 then return at, code end
  at = find(s, "[^ \t\r\n]", at)
  return at, at and byte(s, at)
end

local function take_list(s, at, depth)
  local list, count, code = {}, 0, nil
  at, code = skip(s, at)
  if code == 93 then
    marks.lists[list] = 0
    return list, at + 1
  end
  local holes = false
  while true do
    count = count + 1
    local value
    value, at = take(s, at, depth)
    if value == nil then holes = true end
    list[count] = value
    at, code = skip(s, at)
    if code == 93 then
      if holes then marks.lists[list] = count end
      return list, at + 1
    end
    if code ~= 44 then malformed("`,` or `]` expected", at or #s) end
    at = at + 1
  end
end

local function take_object(s, at, depth)
  local map, nulls, code = {}, nil, nil
  at, code = skip(s, at)
  if code == 125 then
    marks.objects[map] = true
    return map, at + 1
  end
  while true do
    at, code = skip(s, at or #s + 1)
    if code ~= 34 then malformed("a name in quotes expected", at or #s) end
    local name, value
    name, at = take_string(s, at + 1)
    at, code = skip(s, at)
    if code ~= 58 then malformed("`:` expected", at or #s) end
    if map[name] ~= nil or (nulls and nulls[name]) then malformed("duplicate name " .. quote(name), at) end
    value, at = take(s, at + 1, depth)
    if value == nil then
      nulls = nulls or {}
      nulls[name] = true
    end
    map[name] = value
    at, code = skip(s, at)
    if code == 125 then
      if next(map) == nil then marks.objects[map] = true end
      return map, at + 1
    end
    if code ~= 44 then malformed("`,` or `}` expected", at or #s) end
    at = at + 1
  end
end

local WORDS = { [116] = { "true", true }, [102] = { "false", false }, [110] = { "null", nil } }

function take(s, at, depth)
  local first
  at, first = skip(s, at)
  if not at then malformed("a value expected", #s) end
  if first == 34 then return take_string(s, at + 1) end
  if first == 123 or first == 91 then
    if depth >= MAX_DECODED_DEPTH then malformed("nested more than 128 levels", at) end
    if first == 123 then return take_object(s, at + 1, depth + 1) end
    return take_list(s, at + 1, depth + 1)
  end
  local word = WORDS[first]
  if word then
    if sub(s, at, at + #word[1] - 1) ~= word[1] then malformed("not a value", at) end
    return word[2], at + #word[1]
  end
  return take_number(s, at)
end

local function decode(text)
  if not utf8_len(text) then malformed("not UTF-8", 1) end
  return (take(text, 1, 0))
end

------------------------------------------------------------------------- decode, accelerated
-- Longer texts are parsed in C; what cannot be read of that is read from the text, above.
local parse, read_parsed = core.accelerator("json_decode"), core.read_marshal
local SHORT, LONG = 200, 1 << 20 -- bytes: below it is not worth it, above it is too much memory

local function decode_fast(text)
  if #text < SHORT or #text > LONG then return decode(text) end
  local parsed = parse(text)
  if parsed ~= "" then
    local ok, value = read_parsed(parsed)
    if ok then return value end
  end
  return decode(text)
end

---------------------------------------------------------------------------------- validate
-- In a schema these keywords hold lists, so that an empty Lua table under them is one.
local LIST_KEYWORDS = { required = true, enum = true, allOf = true, anyOf = true, oneOf = true, prefixItems = true, examples = true, type = true }
local PROBLEMS = { S = "invalid schema: ", D = "invalid data: ", M = "" }
local schema_check = core.accelerator("schema_check")

local function encode_with(empty, value)
  empty_text = empty
  local text, problem = guarded(encode, value)
  empty_text = empty_for_encode
  return text, problem
end

local function empty_in_schema(_, key) return LIST_KEYWORDS[key] and "[]" or "{}" end
local function empty_in_data(map) return marks.lists[map] and "[]" or "{}" end

local function check(schema, data_text)
  local schema_text, problem = schema, nil
  if type(schema) ~= "string" then
    schema_text, problem = encode_with(empty_in_schema, schema)
    if problem then return false, problem end
  end
  local result = schema_check(schema_text, data_text)
  local code = sub(result, 1, 1)
  if code == "V" then return true, nil end
  return false, fail("Invalid", PROBLEMS[code] .. sub(result, 2))
end

local json = {}

function json.encode(value)
  return guarded(encode, value)
end

function json.decode(text)
  if type(text) ~= "string" then return nil, fail("Invalid", "string expected") end
  if text == "" then return nil, fail("Invalid", "empty string is not valid JSON") end
  return guarded(decode_fast, text)
end

function json.validate(schema, data)
  if schema == nil then return false, fail("Invalid", "schema is required") end
  if data == nil then return false, fail("Invalid", "data is required") end
  local text, problem = encode_with(empty_in_data, data)
  if problem then return false, problem end
  return check(schema, text)
end

function json.validate_string(schema, text)
  if schema == nil then return false, fail("Invalid", "schema is required") end
  if text == nil then return false, fail("Invalid", "data is required") end
  if type(text) ~= "string" then return false, fail("Invalid", "data must be a JSON string") end
  return check(schema, text)
end

return json
