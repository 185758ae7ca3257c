-- Write tables as YAML in block style, as yaml.v3 does: sorted keys, lists indented below
-- their key, quotes only where a string would not read back as itself. Guest metamethods never
-- run: tables are read raw. Source: spec/runtime.md 6.3.

local core = ...

local type, tostring, tonumber, next, rawget, error, pcall = type, tostring, tonumber, next, rawget, error, pcall
local find, sub, gsub, format, match, rep, gmatch = string.find, string.sub, string.gsub, string.format, string.match, string.rep, string.gmatch
local concat, sort, number_type, huge, floor = table.concat, table.sort, math.type, math.huge, math.floor
local utf8_len = utf8.len
local marks, fail, resolve = core.marks, core.fail, core.resolve_yaml
local encode64 = core.accelerator("base64_encode")

local MAX_DEPTH = 128
-- Longer keys need the explicit form, or they do not read back.
local MAX_SIMPLE_KEY = 128

----------------------------------------------------------------------------------- strings
-- Booleans of YAML 1.1, which other readers take for such; and its numbers to base 60.
local OLD_BOOLEANS = {}
for word in gmatch("y Y yes Yes YES on On ON n N no No NO off Off OFF", "%S+") do OLD_BOOLEANS[word] = true end
local function base_60(text)
  return find(text, "^[-+]?%d[%d_]*:[0-5]?%d") and find(text, "^[-+%d_:.]+$")
end

local ESCAPES = {
  ["\0"] = "\\0", ["\a"] = "\\a", ["\b"] = "\\b", ["\t"] = "\\t", ["\n"] = "\\n", ["\v"] = "\\v", ["\f"] = "\\f",
  ["\r"] = "\\r", ["\27"] = "\\e", ['"'] = '\\"', ["\\"] = "\\\\",
  ["\xc2\x85"] = "\\N", ["\xe2\x80\xa8"] = "\\L", ["\xe2\x80\xa9"] = "\\P", ["\xef\xbb\xbf"] = "\\uFEFF",
  ["\xef\xbf\xbe"] = "\\uFFFE", ["\xef\xbf\xbf"] = "\\uFFFF",
}
for code = 0, 31 do
  local character = string.char(code)
  ESCAPES[character] = ESCAPES[character] or format("\\x%02X", code)
end
ESCAPES["\127"] = "\\x7F"
for code = 0x80, 0x9f do
  local character = utf8.char(code)
  ESCAPES[character] = ESCAPES[character] or format("\\x%02X", code)
end

local function double_quoted(text)
  text = gsub(text, '[%c"\\]', ESCAPES)
  text = gsub(text, "\xc2[\x80-\x9f]", ESCAPES)
  text = gsub(text, "\xe2\x80[\xa8\xa9]", ESCAPES)
  text = gsub(text, "\xef\xbb\xbf", ESCAPES)
  return '"' .. gsub(text, "\xef\xbf[\xbe\xbf]", ESCAPES) .. '"'
end

-- Whether it has characters that only double quotes can hold. Tabs and line feeds are not
-- among them here.
local function is_special(text)
  return find(text, "[\0-\8\11-\31\127]") or find(text, "\xc2[\x80-\x9f]") or find(text, "\xe2\x80[\xa8\xa9]")
    or find(text, "\xef\xbb\xbf") or find(text, "\xef\xbf[\xbe\xbf]")
end

-- Whether it reads as one word without quotes, in block style.
local function plain_allowed(text)
  return not (find(text, "^[ ,%[%]{}#&*!|>'\"%%@`]") or find(text, "^[-?:] ") or find(text, "^[-?:]$")
    or find(text, " $") or find(text, ": ") or find(text, ":$") or find(text, " #")
    or find(text, "^%-%-%-") or find(text, "^%.%.%."))
end

local function one_line(text)
  if not utf8_len(text) then return "!!binary " .. encode64(text) end
  if find(text, "[\t\n]") or is_special(text) then return double_quoted(text) end
  if resolve(text) ~= "str" or OLD_BOOLEANS[text] or base_60(text) then return double_quoted(text) end
  if plain_allowed(text) then return text end
  return "'" .. gsub(text, "'", "''") .. "'"
end

local function literal_allowed(text)
  return find(text, "\n", 1, true) and utf8_len(text) and not is_special(text)
    and not find(text, "^[ \t\n]") and not find(text, "[ \t]\n") and not find(text, "[ \t]$")
end

-- A text of several lines, indented by `indent`.
local function literal(text, indent)
  local body, ending = match(text, "^(.-)(\n*)$")
  local hint = ending == "" and "-" or ending ~= "\n" and "+" or ""
  local margin = "\n" .. rep(" ", indent)
  body = gsub(body, "\n([^\n])", margin .. "%1")
  return "|" .. hint .. margin .. body .. sub(ending, 2)
end

----------------------------------------------------------------------------------- numbers
local function float_text(value)
  if value ~= value then return ".nan" end
  if value == huge then return ".inf" end
  if value == -huge then return "-.inf" end
  if value == floor(value) and value > -2 ^ 53 and value < 2 ^ 53 then return format("%d", value) end
  -- The shortest digits that read back, with an exponent from a million on: what is left of
  -- it would look like a whole number.
  local text, exponent
  for digits = 0, 16 do
    text = format("%." .. digits .. "e", value)
    if tonumber(text) == value then break end
  end
  exponent = tonumber(match(text, "e(.*)$"))
  if exponent < -4 or exponent >= 6 then return text end
  return format("%." .. #match(text, "^-?%d%.?(%d*)") - exponent .. "f", value)
end

------------------------------------------------------------------------------------ tables
local put

-- How far the content below `indent` stands.
local function below(indent, step) return step * ((indent + step) // step) end

local function list_length(list)
  local length, largest = 0, 0
  for key in next, list do
    if number_type(key) ~= "integer" or key < 1 then
      error(fail("Internal", "mixed table: both list elements and other keys"), 0)
    end
    length = length + 1
    if key > largest then largest = key end
  end
  -- A list that was decoded with nulls is written with them.
  local was = marks.lists[list] or 0
  if was >= largest then return was end
  if length ~= largest then error(fail("Internal", "sparse array: the list has holes"), 0) end
  return length
end

local function sorted_keys(map, order)
  local names, values = {}, {}
  for key, value in next, map do
    local name = key
    if type(key) == "number" then name = core.number_text(key)
    elseif type(key) == "boolean" then name = tostring(key)
    elseif type(key) ~= "string" then
      error(fail("Internal", "cannot encode a key of type " .. core.kind_of(key)), 0)
    end
    if values[name] == nil then names[#names + 1] = name end
    values[name] = value
  end
  local rank = order.rank
  sort(names, function(left, right)
    local a, b = rank[left] or huge, rank[right] or huge
    if a ~= b then return a < b end
    return left < right
  end)
  return names, values
end

local function put_list(list, indent, out, depth, order, inline)
  local margin = rep(" ", indent)
  for n = 1, list_length(list) do
    out[#out + 1] = (n == 1 and inline and "" or margin) .. "-"
    put(rawget(list, n), indent, out, depth, order, true)
  end
end

local function put_map(map, indent, out, depth, order, inline)
  local margin = rep(" ", indent)
  local names, values = sorted_keys(map, order)
  for n = 1, #names do
    local name = one_line(names[n])
    out[#out + 1] = n == 1 and inline and "" or margin
    if #name > MAX_SIMPLE_KEY then out[#out + 1] = "? " .. name .. "\n" .. margin .. ":"
    else out[#out + 1] = name .. ":" end
    put(values[names[n]], indent, out, depth, order, false)
  end
end

local function put_table(value, indent, out, depth, order, in_list)
  if depth >= MAX_DEPTH then
    error(fail("Internal", "nested too deeply: more than " .. MAX_DEPTH .. " levels, or the table contains itself"), 0)
  end
  local empty, was = next(value) == nil, marks.lists[value]
  if empty and not (was and was > 0) then
    out[#out + 1] = was and " []\n" or " {}\n"
    return
  end
  local is_list = was or rawget(value, 1) ~= nil
  local put_all = is_list and put_list or put_map
  if in_list then
    out[#out + 1] = " "
    put_all(value, indent + 2, out, depth + 1, order, true)
  else
    out[#out + 1] = "\n"
    put_all(value, below(indent, order.step), out, depth + 1, order, false)
  end
end

-- Write what stands behind a `-` or a `key:`, its line's end included.
function put(value, indent, out, depth, order, in_list)
  local kind = type(value)
  if kind == "table" and not core.is_object(value) then
    return put_table(value, indent, out, depth, order, in_list)
  end
  local text = "null"
  if kind == "table" and core.error_state(value) then kind, value = "string", tostring(value) end
  if kind == "string" then
    local deeper = in_list and indent + 2 or below(indent, order.step)
    text = literal_allowed(value) and literal(value, deeper) or one_line(value)
  elseif kind == "number" then
    text = number_type(value) == "integer" and format("%d", value) or float_text(value)
  elseif kind == "boolean" then text = value and "true" or "false" end
  out[#out + 1] = " " .. text .. "\n"
end

local function encode(value, order)
  local out = {}
  local was = marks.lists[value]
  if next(value) == nil and not (was and was > 0) then return was and "[]\n" or "{}\n" end
  local put_all = (was or rawget(value, 1) ~= nil) and put_list or put_map
  put_all(value, 0, out, 1, order, false)
  return concat(out)
end

-- `first` is the list of keys that come first; `step` the columns of one level.
return function(value, first, step)
  local rank = {}
  for n = #first, 1, -1 do rank[first[n]] = n end
  local ok, text = pcall(encode, value, { rank = rank, step = step })
  if ok then return text, nil end
  if core.error_state(text) then return nil, text end
  return error(text, 0)
end
