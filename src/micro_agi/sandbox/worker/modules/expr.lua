-- Formulas given as text. The language is evaluated in Python behind the accelerators
-- (`pure/expr/`); here are arguments, errors, and the values that are objects in Lua.
-- Source: spec/runtime.md 6.9.

local core = ...

local type, error, pcall, tostring = type, error, pcall, tostring
local sub, format, byte = string.sub, string.format, string.byte
local pack, unpack = string.pack, string.unpack
local zone, fail = core.zone, core.fail

local ENVIRONMENT_BYTES = 1000000
local MAX_ZONES = 16
local TIME, DURATION, ZONE = 1, 2, 3
local LOCAL = "Local"

local compile, run, learn = core.accelerator("expr_compile"), core.accelerator("expr_run"), core.accelerator("expr_learn")

-------------------------------------------------------------------------- values that cross
local function zone_bytes(its_zone)
  if its_zone.file or its_zone == zone.here and its_zone.name == LOCAL then return pack(">c1i4", "N", 0) .. its_zone.name end
  return pack(">c1i4", "F", its_zone.offset or 0) .. its_zone.name
end

local function extension(kind, content) return pack(">BBB", 0xc7, #content, kind) .. content end

-- The bytes of an object that the evaluator knows, or nil: then it goes as text.
local function object_bytes(value)
  local kind = core.kind_of(value)
  if kind == "time.Time" then
    local state = core.time_state(value)
    return extension(TIME, pack(">i8i4", state.second, state.nanosecond) .. zone_bytes(state.zone))
  end
  if kind == "time.Duration" then return extension(DURATION, pack(">i8", core.duration_of(value))) end
  if kind == "time.Location" then return extension(ZONE, zone_bytes(core.location_state(value).zone)) end
end

local function location_of(content)
  local mark, offset, at = unpack(">c1i4", content)
  local name = sub(content, at)
  if name == LOCAL then return core.time.localtz end
  if name == "UTC" then return core.time.utc end
  if mark == "F" then return core.time.fixed_zone(name, offset) end
  return core.time.load_location(name) or core.time.utc
end

local function object_of(kind, content)
  if kind == DURATION then return (core.time.parse_duration((unpack(">i8", content)))) end
  if kind == ZONE then return location_of(content) end
  local second, nanosecond, at = unpack(">i8i4", content)
  return core.time.unix(second, nanosecond):in_location(location_of(sub(content, at)))
end

local function packed(variables)
  local ok, bytes = pcall(core.pack, ENVIRONMENT_BYTES, variables, object_bytes)
  if ok then return bytes, nil end
  if bytes == core.too_large then bytes = "the variables take more than " .. ENVIRONMENT_BYTES .. " bytes" end
  if type(bytes) == "string" then return nil, fail("Internal", bytes) end
  return error(bytes, 0)
end

-- Call an accelerator, fetching the zone files it asks for: its value, or nil and an error.
local function answer(accelerator, ...)
  for _ = 1, MAX_ZONES do
    local found = accelerator(...)
    local code, content = byte(found), sub(found, 2)
    if code == 86 then return content, nil end
    if code == 69 then return nil, fail("Internal", content) end
    local file, problem = core.host("time.zone", content)
    if not file then return nil, fail("Internal", tostring(problem)) end
    learn(content, file)
  end
  return nil, fail("Internal", "the expression uses more than " .. MAX_ZONES .. " time zones")
end

----------------------------------------------------------------------------------- programs
local function source_problem(source, method)
  if type(source) ~= "string" then core.argument_error(1, method, "string", source, 3) end
  if source == "" then return fail("Invalid", "expression cannot be empty") end
end

local function environment_of(variables, position, method)
  if variables == nil then return "", nil end
  if core.type_of(variables) ~= "table" then core.argument_error(position, method, "table", variables, 3) end
  return packed(variables)
end

local function run_with(source, kinds, environment)
  local content, problem = answer(run, source, kinds, environment, format("%d", core.now()))
  if problem then return nil, problem end
  return core.unpack(content, object_of), nil
end

local methods = {}
local Program = core.class("expr.Program", methods, function() return "expr.Program" end)

function methods.run(self, variables)
  local state = Program.self(self, "run")
  local environment, problem = environment_of(variables, 1, "run")
  if problem then return nil, problem end
  return run_with(state.source, state.kinds, environment)
end

local expr = {}

function expr.compile(source, variables)
  local problem = source_problem(source, "compile")
  if problem then return nil, problem end
  local environment, kinds
  environment, problem = environment_of(variables, 2, "compile")
  if problem then return nil, problem end
  kinds, problem = answer(compile, source, environment)
  if problem then return nil, problem end
  return Program.make({ source = source, kinds = kinds }), nil
end

function expr.eval(source, variables)
  local problem = source_problem(source, "eval")
  if problem then return nil, problem end
  local environment
  environment, problem = environment_of(variables, 2, "eval")
  if problem then return nil, problem end
  return run_with(source, "", environment)
end

return expr
