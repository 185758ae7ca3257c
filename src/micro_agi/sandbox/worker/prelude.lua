-- The trusted main loop of a Lua worker. Sets everything up once, in the zygote, and returns
-- the loop that each forked worker runs until its parent hangs up.
--
-- Guests get a fresh environment per call: the standard names below through a metatable,
-- their granted modules, nothing else. What trusted code needs it holds in locals; the
-- global table is emptied before the first guest.
--
-- Source: spec/runtime.md 4.1, 4.3, 5; spec/sandbox.md 1.4, 2.3 and 7.

local settings = ...

local error, type, tostring, setmetatable, next, select = error, type, tostring, setmetatable, next, select
local pcall, load, sub, concat, unpack = pcall, load, string.sub, table.concat, table.unpack
local upvaluejoin, exit, randomseed = debug.upvaluejoin, os.exit, math.randomseed
local unpack_bytes, collect = string.unpack, collectgarbage

local CALL, CHECK, ANSWER = 1, 2, 3
local RESULT, ERROR, HOST, READY = 16, 17, 18, 19
local MAX_PRINTS = 200
local FRAME_BYTES = 1000000
local ERROR_BYTES = 65536
local GARBAGE_KB = 16384

local core = { too_large = "the result is too large" }

-- An accelerator is a Python function. Whatever goes wrong in it must not reach a guest as
-- a Python exception, which would lead to the interpreter's frames.
local function accelerator(name)
  local call = settings[name]
  return function(...)
    local ok, bytes = pcall(call, ...)
    if ok and type(bytes) == "string" then return bytes end
    if bytes == false then
      collect()
      ok, bytes = pcall(call, ...)
      if ok and type(bytes) == "string" then return bytes end
    end
    error("not enough memory", 0)
  end
end
core.accelerator = accelerator
core.settings = { local_zone = settings.local_zone }

settings["module.wire"](core)
settings["module.objects"](core)
settings["module.errors"](core)
local freeze, fail = core.freeze, core.fail

-------------------------------------------------------------------------------- host calls
local exchanging = false -- a host call was sent and its answer not read to the end
local loading = false    -- a check runs the chunk: nothing is printed
local prints = 0
local frozen_now

-- Send a frame and return what the parent says to it.
function core.exchange(frame)
  -- If memory runs out half-way through reading an answer, the rest of it is still in the
  -- stream and no later message could be trusted.
  if exchanging then exit(1, false) end
  exchanging = true
  core.send(frame)
  local answer = core.receive()
  exchanging = false
  return answer
end
local exchange = core.exchange

settings["module.scheduler"](core)
local tasks = core.tasks

-- Ask the parent: the value, or nil and an error object. While the code has one thread of
-- control, that is one frame there and one back; else the scheduler takes care of it.
local function host(name, ...)
  if tasks.several then return core.host_in_turn(name, ...) end
  local answer = exchange(core.frame(FRAME_BYTES, HOST, name, { ... }, select("#", ...)))
  if answer[1] == ANSWER then return answer[2], nil end
  return nil, core.from_parent(answer[2])
end
core.host = host

local clock = accelerator("now")
function core.now()
  if frozen_now then return frozen_now end
  return (unpack_bytes("<i8", clock()))
end

-- A name the documents have and we do not yet: saying so beats an index of nil.
function core.not_yet(name, why)
  return function() error("`" .. name .. "` is not available yet" .. (why and ": " .. why or ""), 2) end
end

------------------------------------------------------------------------- the standard names
local base = settings["module.standard"](core)

local function say(...)
  prints = prints + 1
  if loading or prints > MAX_PRINTS then return end
  local words = {}
  for n = 1, select("#", ...) do words[n] = core.display((select(n, ...))) end
  local text = concat(words, " ")
  if tasks.several then core.tell("print", text) else host("print", text) end
end
base.print = say
base.errors = freeze(core.errors)

core.zone = settings["module.time_zone"](core)
core.layout = settings["module.time_layout"](core)
base.channel = freeze(settings["module.channel"](core))
settings["module.timers"](core)
settings["module.news"](core)
core.regexp = settings["module.text_regexp"](core)
core.diff = settings["module.text_diff"](core)
core.splitter = settings["module.text_splitter"](core)
core.resolve_yaml = settings["module.yaml_word"](core)
core.yaml_encode = settings["module.yaml_encode"](core)
core.yaml_decode = settings["module.yaml_decode"](core)
base.os = freeze(settings["module.os"](core))
local LIBRARIES = {}
local NAMES = [[json base64 hash uuid time url http_client logger registry security funcs ctx env store events contract text yaml crypto expr llm agents]]
for name in string.gmatch(NAMES, "%S+") do
  LIBRARIES[name] = freeze(settings["module." .. name](core))
  core[name] = LIBRARIES[name]
end

base.payload = freeze(settings["module.payload"](core))

base.process = freeze(settings["module.process"](core))

--------------------------------------------------------------------------------------- units
local units = {}     -- by content hash
local environment = { __index = base, __metatable = false }

local function define(list)
  for _, one in next, list do
    local hash, id, source, method, modules, imports = unpack(one, 1, 6)
    local chunk, problem = load(source, "=" .. id, "t", base)
    local grants = {}
    for _, name in next, modules do grants[name] = LIBRARIES[name] or base[name] end
    units[hash] = { id = id, chunk = chunk, problem = problem, method = method, grants = grants, imports = imports }
  end
end

local open

-- What a library's chunk returns; once per call, in an environment of its own.
local function import(hash, opened)
  local value = opened[hash]
  if value == nil then
    value = open(units[hash], opened)
    opened[hash] = value
  end
  return value
end

-- Run a unit's chunk in a fresh environment and return its first value. The compiled chunk
-- is kept: it has one upvalue, `_ENV`, and gets a new one here, so that functions made by an
-- earlier call keep theirs.
function open(unit, opened)
  if not unit.chunk then error(unit.problem, 0) end
  local globals, values = {}, {}
  for name, library in next, unit.grants do globals[name], values[name] = library, library end
  for _, pair in next, unit.imports do
    local value = import(pair[2], opened)
    globals[pair[1]], values[pair[1]] = value, value
  end
  globals._G = globals
  function globals.require(name)
    local value = values[name]
    if value == nil then error("module '" .. core.display(name) .. "' not found", 2) end
    return value
  end
  setmetatable(globals, environment)
  upvaluejoin(unit.chunk, 1, function() return globals end, 1)
  return (unit.chunk())
end

-- The function to call inside what the chunk returned (spec/runtime.md 4.1).
local function callee(unit, value)
  if type(value) == "function" then return value end
  local found
  if core.type_of(value) == "table" then found = value[unit.method] end
  if type(found) == "function" then return found end
  error(fail("NotFound", "method \"" .. unit.method .. "\" not found in module"), 0)
end

local function run(unit, args, count)
  return callee(unit, open(unit, {}))(unpack(args, 1, count))
end

------------------------------------------------------------------------------------ the loop
local function fail_call(facts)
  local ok, frame = pcall(core.frame, ERROR_BYTES, ERROR, facts)
  if not ok then
    facts.details = nil
    facts.message = sub(facts.message, 1, 4000)
    frame = core.frame(ERROR_BYTES, ERROR, facts)
  end
  core.send(frame)
end

-- Report what a call came to (spec/runtime.md 4.3).
local function report(limit, ok, first, second)
  if exchanging then exit(1, false) end
  -- What ended a coroutine ends the call, even if the main function caught it.
  if tasks.doom then ok, first = false, tasks.doom.problem end
  -- Before anything else needs memory: the coroutines may have used all of it.
  if tasks.used then core.forget_tasks() end
  if not ok then return fail_call(core.failure(first, "Internal")) end
  if first == nil and second ~= nil and (type(second) == "string" or core.error_state(second)) then
    return fail_call(core.failure(second, "Internal"))
  end
  local encoded, frame = pcall(core.frame, limit, RESULT, first)
  if encoded then return core.send(frame) end
  local facts = core.failure(frame, "Invalid")
  if frame == core.too_large then facts.limit = "result" end
  return fail_call(facts)
end

local seed_a, seed_b
local calls = 0

local function serve(message)
  local op, hash, args, count, now, limit, definitions = unpack(message, 1, 7)
  if definitions then define(definitions) end
  calls = calls + 1
  prints, frozen_now = 0, now
  -- The generator is the interpreter's, not the environment's: without a new seed a call
  -- could see, or set, what the next one draws. A trial draws the same each time.
  if now then randomseed(now, 0) else randomseed(seed_a + calls, seed_b) end
  local unit = units[hash]
  if op == CHECK then
    loading = true
    local ok, problem = pcall(function() callee(unit, open(unit, {})) end)
    loading = false
    report(limit, ok, ok or problem)
  else
    report(limit, pcall(run, unit, args, count))
  end
  core.forget_marks()
  -- Lua's string buffers ask for memory without collecting first, so what one call left
  -- behind could make the next one fail. After the result is sent, nobody waits for this.
  if collect("count") > GARBAGE_KB then collect() end
end

local seed = accelerator("seed")

local function loop()
  seed_a, seed_b = unpack_bytes("<i8i8", seed())
  core.send(core.frame(FRAME_BYTES, READY, true))
  while true do serve(core.receive()) end
end

do
  local globals = _G
  for name in next, globals do globals[name] = nil end
end
return loop
