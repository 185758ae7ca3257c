-- What of `time` takes time: sleep, after, timer, ticker. They live in this process; the
-- parent only hears how long there is nothing to do.
-- Source: spec/runtime.md 6.1.

local core = ...

local error = error
local later, forget, offer, fail = core.later, core.forget, core.offer, core.fail

local TICKS = 16 -- buffered; what comes on top is dropped

local timer_methods, ticker_methods = {}, {}
local Timer = core.class("time.Timer", timer_methods, function() return "time.Timer{}" end)
local Ticker = core.class("time.Ticker", ticker_methods, function() return "time.Ticker{}" end)

-- Nanoseconds of a duration above zero; or nil and what is wrong.
local function positive(duration, method)
  local ns = core.nanoseconds(duration)
  if not ns then return nil, "time." .. method .. ": invalid duration" end
  if ns <= 0 then return nil, "time." .. method .. ": duration must be > 0" end
  return ns
end

local waiting = {}
core.waiting = waiting

function waiting.sleep(duration)
  local ns = core.nanoseconds(duration)
  if not ns then return nil, fail("Invalid", "time.sleep: invalid duration") end
  if ns <= 0 then return end
  local task = core.current_task()
  later(ns, function() core.wake(task) end)
  core.suspend()
end

function waiting.after(duration)
  local ns, problem = positive(duration, "after")
  if not ns then return nil, fail("Invalid", problem) end
  local channel = core.new_channel(1)
  later(ns, function()
    offer(channel, core.time_now())
    core.close_channel(channel)
  end)
  return channel, nil
end

local function arm(state, ns)
  state.timer = later(ns, function()
    state.timer = nil
    offer(state.channel, core.time_now())
  end)
end

function waiting.timer(duration)
  local ns, problem = positive(duration, "timer")
  if not ns then return nil, fail("Invalid", problem) end
  local state = { channel = core.new_channel(1) }
  arm(state, ns)
  return Timer.make(state), nil
end

-- Whether it was still going to fire.
local function disarm(state)
  core.fire_due()
  local timer = state.timer
  state.timer = nil
  return timer ~= nil and forget(timer)
end

function timer_methods.response(self) return Timer.self(self, "response").channel end
function timer_methods.channel(self) return Timer.self(self, "channel").channel end

function timer_methods.stop(self)
  local state = Timer.self(self, "stop")
  local was_pending = disarm(state)
  core.close_channel(state.channel)
  return was_pending
end

function timer_methods.reset(self, duration)
  local state = Timer.self(self, "reset")
  local ns, problem = positive(duration, "reset")
  if not ns then error(problem, 2) end
  local was_pending = disarm(state)
  -- What `stop` closed stays closed for those who hold it; `response` gives the new one.
  if core.is_channel_closed(state.channel) then state.channel = core.new_channel(1) end
  arm(state, ns)
  return was_pending
end

-- The next tick is counted from the last one's due time, so that they do not drift; ticks
-- that were missed come together, as many as fit.
local function tick(state, due, now)
  local count = (now - due) // state.ns + 1
  for _ = 1, count < TICKS and count or TICKS do offer(state.channel, core.time_now()) end
  state.timer = core.at(due + count * state.ns, function(at, then_now) tick(state, at, then_now) end)
end

function waiting.ticker(duration)
  local ns, problem = positive(duration, "ticker")
  if not ns then return nil, fail("Invalid", problem) end
  local state = { channel = core.new_channel(TICKS), ns = ns }
  state.timer = later(ns, function(at, now) tick(state, at, now) end)
  return Ticker.make(state), nil
end

function ticker_methods.response(self) return Ticker.self(self, "response").channel end
function ticker_methods.channel(self) return Ticker.self(self, "channel").channel end

function ticker_methods.stop(self)
  local state = Ticker.self(self, "stop")
  forget(state.timer)
  return true
end
