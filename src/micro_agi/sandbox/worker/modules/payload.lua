-- Values with a format. Between functions of one registry everything is plain already; a
-- payload says what a value is and turns it into text or bytes and back.
-- Source: spec/runtime.md 4.5.

local core = ...

local error, pcall, type, sub = error, pcall, type, string.sub

local FORMATS = {
  JSON = "json/plain", YAML = "yaml/plain", STRING = "text/plain", BYTES = "application/octet-stream",
  MSGPACK = "application/msgpack", LUA = "lua/any", GOLANG = "golang/any", ERROR = "golang/error",
}
local MSGPACK_BYTES = 1 << 20

local methods = {}
local Payload = core.class("payload.Payload", methods, function(self) return core.payload_text(self) end)
function core.payload_text(self) return "payload.Payload{" .. Payload.state(self).format .. "}" end

local function make(format, value) return Payload.make({ format = format, value = value }) end

function core.new_payload(value)
  return make(core.error_state(value) and FORMATS.ERROR or FORMATS.LUA, value)
end

-- Both directions raise a text; `converted` makes an error object of it.
local function raise_problem(value, problem)
  if problem ~= nil then error(core.display(problem), 0) end
  return value
end

-- The module writes tables only; any other value is what a list of it has behind its `- `.
local function to_yaml(value)
  if core.type_of(value) == "table" then return raise_problem(core.yaml.encode(value)) end
  if value == nil then return "null\n" end
  return sub(raise_problem(core.yaml.encode({ value })), 3)
end

local function same(value) return value end

local FROM = {
  [FORMATS.JSON] = function(text) return raise_problem(core.json.decode(text)) end,
  [FORMATS.YAML] = function(text) return raise_problem(core.yaml.decode(text)) end,
  [FORMATS.MSGPACK] = function(bytes) return core.unpack_guest(bytes) end,
  [FORMATS.STRING] = same, [FORMATS.BYTES] = same, [FORMATS.LUA] = same, [FORMATS.GOLANG] = same,
  [FORMATS.ERROR] = same,
}

local function text(value)
  if type(value) == "table" and not core.error_state(value) or type(value) == "function" or type(value) == "thread" then
    error("a " .. core.kind_of(value) .. " has no text", 0)
  end
  return core.display(value)
end

local TO = {
  [FORMATS.JSON] = function(value) return raise_problem(core.json.encode(value)) end,
  [FORMATS.YAML] = to_yaml,
  [FORMATS.MSGPACK] = function(value) return core.pack(MSGPACK_BYTES, value) end,
  [FORMATS.STRING] = text, [FORMATS.BYTES] = text, [FORMATS.LUA] = same, [FORMATS.GOLANG] = same,
  [FORMATS.ERROR] = function(value)
    if core.error_state(value) then return value end
    return core.errors.new(text(value))
  end,
}
local TEXTS = { [FORMATS.JSON] = true, [FORMATS.YAML] = true, [FORMATS.STRING] = true, [FORMATS.BYTES] = true, [FORMATS.MSGPACK] = true }

local function convert(state, format)
  if format == state.format then return state.value end
  -- The text of a format is itself when only text or bytes are asked for.
  local plain = format == FORMATS.STRING or format == FORMATS.BYTES
  if plain and TEXTS[state.format] then return state.value end
  return TO[format](FROM[state.format](state.value))
end

local function converted(state, format)
  if not TO[format] then
    return false, core.fail("Internal", "transcode failed: there is no format `" .. format .. "`")
  end
  local ok, value = pcall(convert, state, format)
  if ok then return true, value end
  return false, core.fail("Internal", "transcode failed: " .. core.display(value))
end

function methods.get_format(self) return Payload.self(self, "get_format").format end
function methods.data(self) return Payload.self(self, "data").value end

function methods.transcode(self, format)
  local state = Payload.self(self, "transcode")
  format = core.check_string(format, 1, "transcode")
  local ok, value = converted(state, format)
  if not ok then return nil, value end
  return make(format, value), nil
end

function methods.unmarshal(self)
  local ok, value = converted(Payload.self(self, "unmarshal"), FORMATS.LUA)
  if not ok then return nil, value end
  return value, nil
end

return { new = core.new_payload, format = core.freeze(FORMATS) }
