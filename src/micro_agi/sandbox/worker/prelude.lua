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
  if not call then return core.needs_libraries end
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

-- What the code wants needs a library that this worker was forked without: the parent starts
-- the call again in a worker that has all. Nothing may happen in between.
local LIBRARIES_NEEDED = "this needs a worker with libraries"
function core.needs_libraries()
  core.doom(LIBRARIES_NEEDED)
  error(LIBRARIES_NEEDED, 0)
end
core.settings = { local_zone = settings.local_zone }

settings["module.wire"](core)
settings["module.objects"](core)
settings["module.errors"](core)
local freeze, fail = core.freeze, core.fail
local send, ask_parent, frame_of, ask = core.send, core.ask_parent, core.frame, core.ask
local error_state, type_of, forget_marks = core.error_state, core.type_of, core.forget_marks

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
  local op, value = ask_parent(frame)
  exchanging = false
  return op, value
end
local exchange = core.exchange

settings["module.scheduler"](core)
local tasks = core.tasks

-- Ask the parent: the value, or nil and an error object. While the code has one thread of
-- control, that is one frame there and one back; else the scheduler takes care of it.
local function host(name, ...)
  if tasks.several then return core.host_in_turn(name, ...) end
  local op, value = exchange(ask(FRAME_BYTES, HOST, name, { ... }, select("#", ...)))
  if op == ANSWER then return value, nil end
  return nil, core.from_parent(value)
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
  local count, text = select("#", ...), nil
  if count == 1 then text = core.display((...))
  else
    local words = {}
    for n = 1, count do words[n] = core.display((select(n, ...))) end
    text = concat(words, " ")
  end
  if tasks.several then core.tell("print", text) else host("print", text) end
end
base.print = say
base.errors = freeze(core.errors)

core.zone = settings["module.time_zone"](core)
core.layout = settings["module.time_layout"](core)
core.read_marshal = settings["module.json_marshal"](core)
base.channel = freeze(settings["module.channel"](core))
settings["module.timers"](core)
settings["module.news"](core)
if settings.libraries then
  core.regexp = settings["module.text_regexp"](core)
  core.diff = settings["module.text_diff"](core)
  core.splitter = settings["module.text_splitter"](core)
  core.resolve_yaml = settings["module.yaml_word"](core)
  core.yaml_encode = settings["module.yaml_encode"](core)
  core.yaml_decode = settings["module.yaml_decode"](core)
end
base.os = freeze(settings["module.os"](core))
local LIBRARIES = {}
local NAMES = "json base64 hash uuid time url http_client logger registry security funcs ctx env store events contract llm agents"
if settings.libraries then NAMES = NAMES .. " text yaml crypto expr" end
for name in string.gmatch(NAMES, "%S+") do
  LIBRARIES[name] = freeze(settings["module." .. name](core))
  core[name] = LIBRARIES[name]
end

core.yaml = core.yaml or { encode = core.needs_libraries, decode = core.needs_libraries }
base.payload = freeze(settings["module.payload"](core))

base.process = freeze(settings["module.process"](core))

--------------------------------------------------------------------------------------- units
local units = {} -- by the number that the parent gave them in this worker
local environment = { __index = base, __metatable = false }

-- The `require` of a unit, over the modules and libraries that it may have.
local function requirer(values)
  return function(name)
    local value = values[name]
    if value == nil then error("module '" .. core.display(name) .. "' not found", 2) end
    return value
  end
end

local function define(list)
  for _, one in next, list do
    local number, id, source, method, modules, imports = unpack(one, 1, 6)
    local chunk, problem = load(source, "=" .. id, "t", base)
    local grants = {}
    for _, name in next, modules do grants[name] = LIBRARIES[name] or base[name] end
    units[number] = {
      id = id, chunk = chunk, problem = problem, method = method, grants = grants,
      -- Without libraries, whose values are new in each call, all calls can share one.
      require = not next(imports) and requirer(grants), imports = imports,
    }
  end
end

local open

-- What a library's chunk returns; once per call, in an environment of its own.
local function import(number, opened)
  local value = opened[number]
  if value == nil then
    value = open(units[number], opened)
    opened[number] = value
  end
  return value
end

local function add_imports(unit, globals, opened)
  local values = {}
  for name, library in next, unit.grants do values[name] = library end
  for _, pair in next, unit.imports do
    local value = import(pair[2], opened)
    globals[pair[1]], values[pair[1]] = value, value
  end
  globals.require = requirer(values)
end

-- Run a unit's chunk in a fresh environment and return its first value. The compiled chunk
-- is kept: it has one upvalue, `_ENV`, and gets a new one here, so that functions made by an
-- earlier call keep theirs.
function open(unit, opened)
  local chunk = unit.chunk
  if not chunk then error(unit.problem, 0) end
  local globals = { _G = false, require = unit.require }
  globals._G = globals
  for name, library in next, unit.grants do globals[name] = library end
  if not unit.require then add_imports(unit, globals, opened or {}) end
  setmetatable(globals, environment)
  upvaluejoin(chunk, 1, function() return globals end, 1)
  return (chunk())
end

-- The function to call inside what the chunk returned (spec/runtime.md 4.1).
local function callee(unit, value)
  if type(value) == "function" then return value end
  local found
  if type_of(value) == "table" then found = value[unit.method] end
  if type(found) == "function" then return found end
  error(fail("NotFound", "method \"" .. unit.method .. "\" not found in module"), 0)
end

local function run(unit, args, count)
  local value = open(unit)
  if type(value) ~= "function" then value = callee(unit, value) end
  if count == 1 then return value(args[1]) end
  return value(unpack(args, 1, count))
end

------------------------------------------------------------------------------------ the loop
local function fail_call(facts)
  local ok, frame = pcall(frame_of, ERROR_BYTES, ERROR, facts)
  if not ok then
    facts.details = nil
    facts.message = sub(facts.message, 1, 4000)
    frame = frame_of(ERROR_BYTES, ERROR, facts)
  end
  send(frame)
end

-- Report what a call came to (spec/runtime.md 4.3).
local function report(limit, ok, first, second)
  if exchanging then exit(1, false) end
  -- What ended a coroutine ends the call, even if the main function caught it.
  if tasks.doom then ok, first = false, tasks.doom.problem end
  local needed = tasks.doom and first == LIBRARIES_NEEDED
  -- Before anything else needs memory: the coroutines may have used all of it.
  if tasks.used then core.forget_tasks() end
  if not ok then
    local facts = core.failure(first, "Internal")
    if needed then facts.limit = "libraries" end
    return fail_call(facts)
  end
  if first == nil and second ~= nil and (type(second) == "string" or error_state(second)) then
    return fail_call(core.failure(second, "Internal"))
  end
  local encoded, frame = pcall(frame_of, limit, RESULT, first)
  if encoded then return send(frame) end
  local facts = core.failure(frame, "Invalid")
  if frame == core.too_large then facts.limit = "result" end
  return fail_call(facts)
end

local seed_a, seed_b
local calls = 0

local function serve(op, number, limit, args, count, now, definitions)
  if definitions then define(definitions) end
  calls = calls + 1
  prints, frozen_now = 0, now
  -- The generator is the interpreter's, not the environment's: without a new seed a call
  -- could see, or set, what the next one draws. A trial draws the same each time.
  if now then randomseed(now, 0) else randomseed(seed_a + calls, seed_b) end
  local unit = units[number]
  if op == CHECK then
    loading = true
    local ok, problem = pcall(function() callee(unit, open(unit)) end)
    loading = false
    report(limit, ok, ok or problem)
  else
    report(limit, pcall(run, unit, args, count))
  end
  forget_marks()
  -- Lua's string buffers ask for memory without collecting first, so what one call left
  -- behind could make the next one fail. After the result is sent, nobody waits for this.
  if collect("count") > GARBAGE_KB then collect() end
end

-- The first call of a process writes to memory that it shared with the zygote until then, and each
-- page has to be copied. A call of our own does that before anybody waits.
local function warm_up()
  define({ { 0, "warm-up", "return function(a) return { a.x } end", "", {}, {} } })
  local _, value = pcall(run, units[0], { { x = "" } }, 1)
  frame_of(FRAME_BYTES, RESULT, value)
  units[0] = nil
end

local seed = accelerator("seed")

local function loop(mailbox_bytes, ...)
  if mailbox_bytes then core.use_mailbox(mailbox_bytes, ...) end
  seed_a, seed_b = unpack_bytes("<i8i8", seed())
  warm_up()
  send(frame_of(FRAME_BYTES, READY, mailbox_bytes ~= nil))
  while true do serve(core.request()) end
end

do
  local globals = _G
  for name in next, globals do globals[name] = nil end
end
-- Collecting marks every object, and what a worker marks is no longer shared with the zygote. Now,
-- so that it comes again only when four times as much is in use: each time it takes a millisecond.
collect()
collect("incremental", 400, 400)
return loop
