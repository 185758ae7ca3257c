-- Make values of YAML events (`pure/yaml_events.py`): anchors, merges, keys, limits.
-- An alias is a copy, as in the documents' runtime; what all copies hold is counted, so that a
-- small text cannot become a large value. Source: spec/runtime.md 6.3.

local core = ...

local type, next, error, tostring, pcall = type, next, error, tostring, pcall
local sub, unpack, format, gsub = string.sub, string.unpack, string.format, string.gsub
local parse, decode64 = core.accelerator("yaml_events"), core.accelerator("base64_decode")
local resolve, marks, fail = core.resolve_yaml, core.marks, core.fail

local MAX_DEPTH, MAX_VALUES = 128, 250000
local PREFIX = "^tag:yaml%.org,2002:"

local function refuse(line, what)
  error(fail("Internal", "line " .. line .. ": " .. what), 0)
end

-- What is known while one document is read.
local function reader(stream)
  return {
    stream = stream, at = 2, values = 0,
    anchors = {},  -- name -> { value, depth, values }, or false while it is being read
    lists = {},    -- tables that are lists; all others are maps
    nulls = {},    -- map -> its keys without a value, which Lua's tables lose
  }
end

local function event(state)
  local kind, plain, line, value, anchor, tag
  kind, plain, line, value, anchor, tag, state.at = unpack("<c1BI4s4s4s4", state.stream, state.at)
  return kind, plain == 1, line, value, anchor, tag
end

local function count(state, line, values)
  state.values = state.values + values
  if state.values > MAX_VALUES then
    refuse(line, format("it stands for more than %d values: excessive aliasing or too large", MAX_VALUES))
  end
end

local EXPECTED = { int = true, float = true, bool = true, null = true, timestamp = true }

local function tagged(line, text, name)
  if name == "binary" then
    local bytes = decode64(text)
    if sub(bytes, 1, 1) == "\0" then refuse(line, "!!binary value contains invalid base64 data") end
    return "str", sub(bytes, 2)
  end
  if not EXPECTED[name] then return "str", text end
  local kind, value = resolve(text)
  if name == "float" and kind == "int" then return "float", value + 0.0 end
  if kind ~= name then refuse(line, format("cannot decode `%s` as a !!%s", text, name)) end
  return kind, value
end

-- The kind and the value of a scalar.
local function scalar(line, text, plain, tag)
  local kind, value
  if tag == "" then
    if not plain then return "str", text end
    kind, value = resolve(text)
    if kind == "merge" then return "str", text end
  else
    kind, value = tagged(line, text, (gsub(tag, PREFIX, "")))
  end
  if kind == "overflow" then refuse(line, format("the number `%s` does not fit in 64 bits", text)) end
  return kind, value
end

local function copy(state, value)
  if type(value) ~= "table" then return value end
  local twin = {}
  for key, item in next, value do twin[key] = copy(state, item) end
  state.lists[twin], state.nulls[twin] = state.lists[value], state.nulls[value]
  marks.lists[twin], marks.objects[twin] = marks.lists[value], marks.objects[value]
  return twin
end

local function alias(state, line, name, depth)
  local anchor = state.anchors[name]
  if anchor == nil then refuse(line, format("unknown anchor '%s' referenced", name)) end
  if anchor == false then refuse(line, format("anchor '%s' value contains itself", name)) end
  count(state, line, anchor.values)
  if depth + anchor.depth > MAX_DEPTH then refuse(line, format("nested more than %d levels", MAX_DEPTH)) end
  return copy(state, anchor.value), anchor.depth
end

local take

local function take_list(state, line, depth)
  local list, length, holes, deepest = {}, 0, false, 0
  while true do
    local value, deep, ended = take(state, depth + 1)
    if ended then break end
    length = length + 1
    list[length] = value
    holes = holes or value == nil
    if deep >= deepest then deepest = deep + 1 end
  end
  state.lists[list] = true
  if holes or length == 0 then marks.lists[list] = length end
  return list, deepest
end

local function key_of(state, kind, plain, line, text, tag)
  local value
  if kind == "a" then
    value = alias(state, line, text, 0)
    kind = "str"
  elseif kind == "s" then kind, value = scalar(line, text, plain, tag) end
  if type(value) == "table" or kind == "[" or kind == "{" then refuse(line, "a key must be a scalar") end
  if value == nil then return "null" end
  if type(value) == "number" then return core.number_text(value) end
  return tostring(value)
end

-- Add what `source` has and `map` has not: the map's own keys and earlier merges win.
local function merge(state, line, map, seen, source)
  if type(source) ~= "table" or state.lists[source] then
    refuse(line, "map merge requires map or sequence of maps as the value")
  end
  for key, value in next, source do
    if not seen[key] then map[key], seen[key] = value, line end
  end
  for key in next, state.nulls[source] or {} do seen[key] = seen[key] or line end
end

local function take_map(state, _, depth)
  local map, seen, merges, nulls, deepest = {}, {}, nil, nil, 0
  while true do
    local kind, plain, line, text, anchor, tag = event(state)
    if kind == "}" then break end
    count(state, line, 1)
    if kind == "a" then text = anchor end
    local merging = plain and text == "<<" and (tag == "" or tag == "tag:yaml.org,2002:merge")
    local key = merging and "<<" or key_of(state, kind, plain, line, text, tag)
    if kind == "s" and anchor ~= "" then
      state.anchors[anchor] = { value = key, depth = 0, values = 1 }
    end
    local before = seen[key]
    if merging then before = merges and merges.line end
    if before then refuse(line, format("mapping key \"%s\" already defined at line %d", key, before)) end
    local value, deep = take(state, depth + 1)
    if deep >= deepest then deepest = deep + 1 end
    if merging then merges = { line = line, value = value }
    else
      seen[key], map[key] = line, value
      if value == nil then
        nulls = nulls or {}
        nulls[key] = true
      end
    end
  end
  if merges then
    local source = merges.value
    if state.lists[source] then
      for n = 1, marks.lists[source] or #source do merge(state, merges.line, map, seen, source[n]) end
    else merge(state, merges.line, map, seen, source) end
  end
  state.nulls[map] = nulls
  if next(map) == nil then marks.objects[map] = true end
  return map, deepest
end

-- The next value and how deep it nests; a third result at the end of a list.
function take(state, depth)
  local kind, plain, line, text, anchor, tag = event(state)
  if kind == "]" then return nil, 0, true end
  if kind == "a" then return alias(state, line, anchor, depth) end
  local before = state.values
  count(state, line, 1)
  if anchor ~= "" then state.anchors[anchor] = false end
  local value, deep, _ = nil, 0, nil
  if kind == "s" then _, value = scalar(line, text, plain, tag)
  elseif kind == "[" then value, deep = take_list(state, line, depth)
  else value, deep = take_map(state, line, depth) end
  if anchor ~= "" then
    state.anchors[anchor] = { value = value, depth = deep, values = state.values - before }
  end
  return value, deep
end

local function decode(text)
  local stream = parse(text)
  if sub(stream, 1, 1) ~= "V" then error(fail("Internal", "invalid YAML: " .. sub(stream, 2)), 0) end
  if #stream == 1 then return nil end
  return (take(reader(stream), 0))
end

return function(text)
  local ok, value = pcall(decode, text)
  if ok then return value, nil end
  if core.error_state(value) then return nil, value end
  return error(value, 0)
end
