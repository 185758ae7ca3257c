-- Run several threads of control inside one call: the main function and what it spawned.
--
-- Cooperative: a task goes on until it waits. The main function is no coroutine. Where it
-- waits, the loop runs in place, so code that spawns nothing pays nothing. A spawned task
-- waits by yielding a private mark up to the loop; `resume` and `wrap` of guests pass it
-- on, so it crosses their generators. Where that is impossible, inside a sort or a gsub,
-- the loop runs in place as well.
--
-- The parent is asked in turns (wire.py): what to start, what to drop, how long to wait.
-- Only when every task waits does this process wait for the parent.
--
-- An error in a task dooms the call: whoever waits gets it, no host call works any more,
-- and the call reports it even if the main function caught it.
-- Source: spec/runtime.md 4.3, 7.2.

local core = ...

local error, type, select, setmetatable, maxinteger = error, type, select, setmetatable, math.maxinteger
local create, resume, yield, close = coroutine.create, coroutine.resume, coroutine.yield, coroutine.close
local status, running, isyieldable = coroutine.status, coroutine.running, coroutine.isyieldable
local insert, remove, unpack_bytes, format = table.insert, table.remove, string.unpack, string.format

local ANSWER, FAILURE, TURN = 3, 6, 20
local REQUEST_BYTES, TURN_BYTES = 900000, 950000
local POLL_NS = 10000000 -- between looks for answers while some task could still go on
local NOT_SUSPENDED = "cannot resume non-suspended coroutine"
local MARK = {}

local tasks = { several = false, used = false }
core.tasks = tasks

local main, current
local ready, first, last     -- tasks that can go on, in order
local alive                  -- spawned tasks that have not ended
local timers                 -- the next one last
local calls, in_flight, next_number
local queued, queued_bytes, dropped
local skipped                -- nanoseconds that a trial did not wait
local polled                 -- when the parent was asked last
local held                   -- threads that only the loop may resume

function core.forget_tasks()
  main, current, ready, timers, calls, queued, dropped, held = nil, nil, nil, nil, nil, nil, nil, nil
  tasks.doom, tasks.listening = nil, nil
  main = { standing = false }
  current = main
  ready, first, last = {}, 1, 0
  alive, timers = 0, {}
  calls, in_flight, next_number = {}, 0, 1
  queued, queued_bytes, dropped, polled = {}, 0, {}, 0
  held = setmetatable({}, { __mode = "k" })
  skipped = 0
  tasks.several, tasks.used = false, false
end
core.forget_tasks()

local function count() tasks.several = alive > 0 or in_flight > 0 or tasks.doom ~= nil end

local elapsed = core.accelerator("elapsed")
local function clock() return unpack_bytes("<i8", elapsed()) + skipped end

local function doom(problem)
  if not tasks.doom then tasks.doom = { problem = problem } end
  tasks.used = true
  count()
end
core.doom = doom

------------------------------------------------------------------------------- the parent
-- Take a turn: nanoseconds to wait, -1 until something is finished, 0 not at all.
local function turn(wait)
  local frame = core.turn(TURN, wait, queued, dropped)
  queued, queued_bytes, dropped = {}, 0, {}
  local _, answers = core.exchange(frame)
  for n = 1, #answers do
    local number, answer = answers[n][1], answers[n][2]
    local done = calls[number]
    calls[number], in_flight = nil, in_flight - 1
    local op, value = answer[1], answer[2]
    if op == ANSWER then done(value, nil) else done(nil, core.from_parent(value), op == FAILURE) end
  end
  count()
  polled = clock()
  return #answers > 0
end

-- Begin a host call; `done(value, problem, ran)` is called when the answer comes: a problem is a
-- refusal, or with `ran` what came of something that began.
function core.start(name, done, ...)
  if tasks.doom then error(tasks.doom.problem, 0) end
  local number = next_number
  local request = core.numbered(REQUEST_BYTES, number, name, { ... }, select("#", ...))
  if queued_bytes + #request > TURN_BYTES then turn(0) end
  next_number = number + 1
  calls[number], in_flight = done, in_flight + 1
  queued[#queued + 1], queued_bytes = request, queued_bytes + #request
  tasks.used = true
  count()
  return number
end

-- Give up a host call: its answer will not come.
function core.drop(number)
  if not calls[number] then return end
  calls[number], in_flight = nil, in_flight - 1
  dropped[#dropped + 1] = number
  count()
end

-- Start what is queued at once, and take what is finished.
function core.hurry() turn(0) end

-- Take what is finished, without switching and not too often.
function core.poll()
  if in_flight > 0 and clock() - polled >= POLL_NS then turn(0) end
end

local function nothing() end
-- A host call whose answer nobody reads, sent at once.
function core.tell(name, ...)
  core.start(name, nothing, ...)
  turn(0)
end

------------------------------------------------------------------------------------ timers
-- Call `fire(at, now)` at a time of the clock; returns what `core.forget` takes.
function core.at(at, fire)
  tasks.used = true
  -- Beyond the end of the clock it wraps around.
  local timer = { at = at >= 0 and at or maxinteger, fire = fire }
  local low, high = 1, #timers + 1
  while low < high do
    local middle = (low + high) // 2
    if timers[middle].at > timer.at then low = middle + 1 else high = middle end
  end
  insert(timers, low, timer)
  return timer
end

function core.later(ns, fire) return core.at(clock() + ns, fire) end

function core.forget(timer)
  for n = #timers, 1, -1 do
    if timers[n] == timer then
      remove(timers, n)
      return true
    end
  end
  return false
end

-- Fire what is due; the time at which the next one is, or nil.
local function fire_due()
  local timer = timers[#timers]
  if not timer then return nil end
  local now = clock()
  while timer and timer.at <= now do
    remove(timers)
    timer.fire(timer.at, now)
    timer = timers[#timers]
  end
  return timer and timer.at
end
core.fire_due = fire_due

-------------------------------------------------------------------------------------- loop
local function wake(task)
  last = last + 1
  ready[last] = task
end
core.wake = wake

local function step(task)
  local before = current
  current = task
  local ok, what = resume(task.thread)
  current = before
  if not ok then
    alive = alive - 1
    close(task.thread)
    return doom(what)
  end
  if status(task.thread) == "dead" then
    alive = alive - 1
    count()
  elseif what ~= MARK then
    wake(task)
  end
end

-- Every task waits: until something comes from outside.
local function idle()
  local due = timers[#timers]
  if due then
    local left = due.at - clock()
    if left <= 0 then
      fire_due()
      return core.poll()
    end
    -- An empty answer says that the time has passed, in a trial without passing.
    if not turn(left) then
      left = due.at - clock()
      if left > 0 then skipped = skipped + left end
    end
    fire_due()
  elseif in_flight > 0 then
    turn(-1)
  else
    doom(core.fail("Internal", format("deadlock: all coroutines blocked with no pending operations (threads=%d)", alive + 1)))
  end
end

-- Let others run, here, until `task` can go on.
local function run_until(task)
  task.standing = true
  while not task.awake do
    if tasks.doom then
      task.standing = false
      error(tasks.doom.problem, 0)
    end
    if first > last then
      idle()
    else
      local chosen = ready[first]
      ready[first], first = nil, first + 1
      if chosen.standing then chosen.awake = true else step(chosen) end
      if timers[1] then fire_due() end
      core.poll()
    end
  end
  task.awake, task.standing = false, false
end

-- The running task waits until somebody wakes it.
local function suspend()
  tasks.used = true
  local task = current
  if task ~= main and isyieldable() then yield(MARK) else run_until(task) end
end
core.suspend = suspend

function core.current_task() return current end

function core.host_in_turn(name, ...)
  local task, value, problem = current, nil, nil
  core.start(name, function(result, failed)
    value, problem = result, failed
    wake(task)
  end, ...)
  suspend()
  return value, problem
end

------------------------------------------------------------------------ guests' coroutines
-- Pass a mark on: the thread waits, so does the task that runs it.
local function passed(thread, ...)
  if select(2, ...) ~= MARK then return ... end
  held[thread] = true
  suspend()
  held[thread] = nil
  return passed(thread, resume(thread))
end

local coroutines = {}
core.coroutines = coroutines

function coroutines.resume(thread, ...)
  if type(thread) ~= "thread" then core.argument_error(1, "resume", "coroutine", thread) end
  if held[thread] then return false, NOT_SUSPENDED end
  return passed(thread, resume(thread, ...))
end

local function unwrapped(thread, ok, ...)
  if ok then return ... end
  local problem = ...
  if status(thread) == "dead" then close(thread) end
  -- The caller's position in front of texts, as the C library has it.
  error(problem, type(problem) == "string" and 2 or 0)
end

function coroutines.wrap(body)
  if type(body) ~= "function" then core.argument_error(1, "wrap", "function", body) end
  local thread = create(body)
  return function(...)
    if held[thread] then error(NOT_SUSPENDED, 2) end
    return unwrapped(thread, passed(thread, resume(thread, ...)))
  end
end

function coroutines.yield(...)
  if isyieldable() then return yield(...) end
  local _, is_main = running()
  if not is_main then return yield(...) end
  if tasks.doom then error(tasks.doom.problem, 0) end
  -- The main function has no caller to give values to; it lets the others run.
  wake(current)
  suspend()
end

function coroutines.close(thread)
  if type(thread) ~= "thread" then core.argument_error(1, "close", "coroutine", thread) end
  if held[thread] and status(thread) ~= "dead" then error("cannot close a normal coroutine", 2) end
  return close(thread)
end

function coroutines.spawn(body)
  if type(body) ~= "function" then core.argument_error(1, "spawn", "function", body) end
  tasks.used = true
  local thread = create(body)
  held[thread] = true
  alive = alive + 1
  count()
  wake({ thread = thread, standing = false })
  return thread
end
