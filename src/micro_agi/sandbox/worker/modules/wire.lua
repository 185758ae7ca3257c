-- Speak the wire: msgpack frames on fd 0 and 1. Trusted; runs before any guest code.
--
-- The encoder never runs guest code: it reads tables with next, rawlen and rawget only, so
-- no metamethod of a guest fires here. Map keys are sorted, because Lua's own order differs
-- from state to state and a replay compares bytes. The decoder reads the parent alone.
--
-- Conversions: spec/runtime.md 1.5 (Lua to host) and 4.5 (host to Lua).

local core = ...

local io, exit, error, type, tostring = io, os.exit, error, type, tostring
local next, rawget, rawlen, sort, concat = next, rawget, rawlen, table.sort, table.concat
local pack, unpack, byte, sub, char = string.pack, string.unpack, string.byte, string.sub, string.char
local is_integer, valid_utf8, setmetatable, pcall = math.type, utf8.len, setmetatable, pcall
local stdin, stdout = io.stdin, io.stdout
local read, write = stdin.read, stdout.write

local MAX_DEPTH = 64
local WEAK = { __mode = "k" }
local NOTICE, INVITATION = "\0\0\0\0", 0x80000000 -- `mailbox.py`

-- Lua has one empty table, JSON has two, and Lua's lists have no nulls. What a decoded table
-- was is remembered here while it lives: empty maps, and the length of lists that were empty
-- or had nulls. A new pair for each call keeps old keys from piling up.
local marks = { objects = setmetatable({}, WEAK), lists = setmetatable({}, WEAK) }
core.marks = marks

function core.forget_marks()
  if next(marks.objects) then marks.objects = setmetatable({}, WEAK) end
  if next(marks.lists) then marks.lists = setmetatable({}, WEAK) end
end

-- For modules: a list that may be empty and must leave the worker as a list even then.
function core.as_list(list)
  if next(list) == nil then marks.lists[list] = 0 end
  return list
end

------------------------------------------------------------------------------------ encode
local budget = 0 -- bytes the frame under construction may still take
local object_bytes -- how `core.pack` writes objects; frames have them as text
local object_of -- how `core.unpack` reads them

local function spend(bytes)
  budget = budget - bytes
  if budget < 0 then error(core.too_large, 0) end
end

-- The first byte of short texts, lists and maps, and small numbers.
local BYTES = {}
for code = 0, 255 do BYTES[code] = char(code) end

local function put_text(text, out, n)
  local length = #text
  budget = budget - length - 5
  if budget < 0 then error(core.too_large, 0) end
  if not valid_utf8(text) then out[n + 1] = pack(">BI4", 0xc6, length)
  elseif length < 32 then out[n + 1] = BYTES[0xa0 + length]
  else out[n + 1] = pack(">BI4", 0xdb, length) end
  out[n + 2] = text
  return n + 2
end

local put

local function put_list(list, length, out, n, depth)
  spend(5)
  n = n + 1
  if length < 16 then out[n] = BYTES[0x90 + length] else out[n] = pack(">BI4", 0xdd, length) end
  for i = 1, length do n = put(rawget(list, i), out, n, depth) end
  return n
end

-- The same map with names for keys; `count` of them are in `names` already.
local function with_names(map)
  local names, values, count = {}, {}, 0
  for key, value in next, map do
    local text = key
    if type(key) ~= "string" then text = core.plain_text(key) end
    if values[text] == nil then
      count = count + 1
      names[count] = text
    end
    values[text] = value
  end
  return names, values, count
end

local function put_map(map, out, n, depth)
  local keys, values, count = {}, map, 0
  for key in next, map do
    count = count + 1
    if type(key) ~= "string" then
      keys, values, count = with_names(map)
      break
    end
    keys[count] = key
  end
  if count > 1 then sort(keys) end
  spend(5)
  n = n + 1
  if count < 16 then out[n] = BYTES[0x80 + count] else out[n] = pack(">BI4", 0xdf, count) end
  for i = 1, count do
    local key = keys[i]
    n = put(rawget(values, key), out, put_text(key, out, n), depth)
  end
  return n
end

function put(value, out, n, depth)
  local kind = type(value)
  if kind == "string" then return put_text(value, out, n) end
  if kind == "table" then
    if core.is_object(value) then
      local bytes = object_bytes and object_bytes(value)
      if not bytes then return put_text(core.plain_text(value), out, n) end
      spend(#bytes)
      out[n + 1] = bytes
      return n + 1
    end
    if depth > MAX_DEPTH then error("a value is nested too deeply (or contains itself)", 0) end
    local length = rawlen(value)
    -- An empty table is a map, unless it came from an empty list and still is one. A list
    -- that came with holes goes back as long as it was.
    local was = marks.lists[value]
    if was and was > length then length = was end
    if length > 0 or was and next(value) == nil then
      return put_list(value, length, out, n, depth + 1)
    end
    return put_map(value, out, n, depth + 1)
  end
  n = n + 1
  budget = budget - 9
  if budget < 0 then error(core.too_large, 0) end
  if kind == "number" then
    if is_integer(value) ~= "integer" then out[n] = pack(">Bd", 0xcb, value)
    elseif value >= 0 and value < 128 then out[n] = BYTES[value]
    else out[n] = pack(">Bi8", 0xd3, value) end
  elseif kind == "boolean" then out[n] = value and "\xc3" or "\xc2"
  elseif kind == "nil" then out[n] = "\xc0"
  else return put_text(core.plain_text(value), out, n - 1) end
  return n
end

-- Build a frame of an operation and a value. Most results are one number or a short text, and
-- are made in one step.
function core.frame(limit, op, value)
  local kind = is_integer(value)
  if kind == "integer" and limit >= 9 then return pack("<I4BB>Bi8", 11, 0x92, op, 0xd3, value) end
  if kind == "float" and limit >= 9 then return pack("<I4BB>Bd", 11, 0x92, op, 0xcb, value) end
  budget = limit
  local out = { "\x92", BYTES[op] }
  return pack("<s4", concat(out, "", 1, put(value, out, 2, 0)))
end

local calls = {} -- the beginnings of frames by host function: their names are ours

-- Build the frame of one host call; the list keeps its nils.
function core.ask(limit, op, name, list, length)
  budget = limit
  local begin = calls[name]
  if not begin then
    begin = { "\x93", BYTES[op] }
    begin = concat(begin, "", 1, put_text(name, begin, 2))
    calls[name] = begin
  end
  local out = { begin }
  return pack("<s4", concat(out, "", 1, put_list(list, length, out, 1, 0)))
end

-- The bytes of one value for an accelerator. `objects(value)` gives those of an object, or nil.
function core.pack(limit, value, objects)
  budget, object_bytes = limit, objects
  local out = {}
  local ok, n = pcall(put, value, out, 0, 0)
  object_bytes = nil
  if not ok then error(n, 0) end
  return concat(out, "", 1, n)
end

-- Encode one host call for a turn, now: what it holds may change before the turn comes.
function core.numbered(limit, number, name, list, length)
  budget = limit
  local out = { "\x93" }
  local n = put_text(name, out, put(number, out, 1, 0))
  n = put_list(list, length, out, n, 0)
  return concat(out, "", 1, n)
end

-- Build a turn: how long to wait, encoded host calls to start, numbers to drop.
function core.turn(op, wait, requests, dropped)
  local out = { "\x94" .. char(op) .. pack(">Bi8", 0xd3, wait) .. pack(">BI4", 0xdd, #requests) }
  out[2] = concat(requests)
  out[3] = pack(">BI4", 0xdd, #dropped)
  for n = 1, #dropped do out[3 + n] = pack(">Bi8", 0xd3, dropped[n]) end
  return pack("<s4", concat(out))
end

------------------------------------------------------------------------------------ decode
local take

local function take_list(s, at, count)
  local list = {}
  local holes = count == 0
  for i = 1, count do
    local value
    value, at = take(s, at)
    if value == nil then holes = true end
    list[i] = value
  end
  if holes then marks.lists[list] = count end
  return list, at, count
end

-- An empty map with room for so many entries: to grow step by step takes longer than to fill.
-- Assigning nil in a constructor reserves and stores nothing.
function core.new_map(count)
  if count < 2 then return {} end
  if count == 2 then return { a = nil, b = nil } end
  if count <= 4 then return { a = nil, b = nil, c = nil, d = nil } end
  if count <= 8 then return { a = nil, b = nil, c = nil, d = nil, e = nil } end
  return { a = nil, b = nil, c = nil, d = nil, e = nil, f = nil, g = nil, h = nil, i = nil }
end
local new_map = core.new_map

local function take_map(s, at, count)
  local map = new_map(count)
  for _ = 1, count do
    local key
    key, at = take(s, at)
    map[key], at = take(s, at)
  end
  if count == 0 then marks.objects[map] = true end
  return map, at
end

local function sized(format, taker)
  return function(s, at)
    local count
    count, at = unpack(format, s, at)
    return taker(s, at, count)
  end
end

local function fixed(format)
  return function(s, at) return unpack(format, s, at) end
end

local function take_object(s, at)
  local length, kind
  length, kind, at = unpack(">BB", s, at)
  return object_of(kind, sub(s, at, at + length - 1)), at + length
end

local TAKERS = {
  [0xc7] = take_object,
  [0xc0] = function(_, at) return nil, at end,
  [0xc2] = function(_, at) return false, at end,
  [0xc3] = function(_, at) return true, at end,
  [0xc4] = fixed(">s1"), [0xc5] = fixed(">s2"), [0xc6] = fixed(">s4"),
  [0xca] = fixed(">f"), [0xcb] = fixed(">d"),
  [0xcc] = fixed(">B"), [0xcd] = fixed(">I2"), [0xce] = fixed(">I4"), [0xcf] = fixed(">i8"),
  [0xd0] = fixed(">b"), [0xd1] = fixed(">i2"), [0xd2] = fixed(">i4"), [0xd3] = fixed(">i8"),
  [0xd9] = fixed(">s1"), [0xda] = fixed(">s2"), [0xdb] = fixed(">s4"),
  [0xdc] = sized(">I2", take_list), [0xdd] = sized(">I4", take_list),
  [0xde] = sized(">I2", take_map), [0xdf] = sized(">I4", take_map),
}

function take(s, at)
  local first = byte(s, at)
  if first < 0x80 then return first, at + 1 end
  if first < 0x90 then return take_map(s, at + 1, first - 0x80) end
  if first < 0xa0 then return take_list(s, at + 1, first - 0x90) end
  if first < 0xc0 then
    local last = at + first - 0xa0
    return sub(s, at + 1, last), last + 1
  end
  if first >= 0xe0 then return first - 256, at + 1 end
  return TAKERS[first](s, at + 1)
end

local function no_objects() error("bytes of an unknown type", 0) end

-- The value of an accelerator's bytes. `objects(kind, content)` makes the objects.
function core.unpack(bytes, objects)
  object_of = objects
  return (take(bytes, 1))
end

-- The value of a guest's bytes, which may be anything: what is wrong with them is raised.
function core.unpack_guest(text)
  object_of = no_objects
  local value, at = take(text, 1)
  if at ~= #text + 1 then error("not one value", 0) end
  return value
end

----------------------------------------------------------------------------------- streams
-- Short messages go through memory that is shared with the parent, while both look there
-- (`mailbox.py`).
local longest, put, take_out, exchange, noticed
local talking, invited = false, false

function core.use_mailbox(bytes, ...)
  longest = bytes + 4
  put, take_out, exchange, noticed = ...
end

-- What fails half-way leaves half a message: nothing that follows could be trusted.
local function or_end(ok, value)
  if not ok then exit(1, false) end
  return value
end

function core.send(frame)
  if talking then
    local done = or_end(pcall(put, #frame <= longest and frame or "", invited))
    talking, invited = done ~= nil, false
    if done then return end
  end
  write(stdout, frame)
end

-- Return the payload of the next frame in the socket; the process ends when the parent hung up.
local function from_socket()
  local header = read(stdin, 4)
  if not header or #header < 4 then exit(0, false) end
  while header == NOTICE do
    local payload = or_end(pcall(noticed))
    if payload then
      talking = true
      return payload
    end
    header = read(stdin, 4)
    if not header or #header < 4 then exit(0, false) end
  end
  local length = unpack("<I4", header)
  if length >= INVITATION then
    length = length - INVITATION
    talking, invited = true, true
  end
  local payload = read(stdin, length)
  if not payload or #payload < length then exit(0, false) end
  return payload
end

-- Return the next message, after what looking into the mailbox has brought.
local function after_look(payload)
  if payload == "" then write(stdout, NOTICE)
  elseif payload then return payload end
  talking = payload == nil
  return from_socket()
end

local function receive()
  if talking then return after_look(or_end(pcall(take_out))) end
  return from_socket()
end

-- Send a frame and return the message that answers it.
local function answered(frame)
  if talking and not invited and #frame <= longest then
    local payload = or_end(pcall(exchange, frame))
    if payload ~= true then return after_look(payload) end
  end
  core.send(frame)
  return receive()
end

-- Send a frame; return the operation and the value of the parent's answer.
function core.ask_parent(frame)
  local payload = answered(frame)
  local _, op = byte(payload, 1, 2)
  return op, (take(payload, 3))
end

-- The parent's next request: operation, number of the unit, size of the result, arguments and
-- how many; and, if there is more to say, a trial's clock and units to define. The parent
-- writes the numbers in a fixed width.
function core.request()
  local payload = receive()
  local parts, op, unit, limit = unpack(">BBxI2xI4", payload)
  local args, at, count = take(payload, 11)
  if parts == 0x94 then return op, unit, limit, args, count end
  local now, definitions
  now, at = take(payload, at)
  definitions = take(payload, at)
  return op, unit, limit, args, count, now, definitions
end
