-- Channels between the coroutines of one call. Values pass by reference; senders and
-- receivers are served in the order in which they came.
-- Source: spec/runtime.md 7.1, traps T-27 and T-28.

local core = ...

local error, type, rawget, rawlen = error, type, rawget, rawlen
local current_task, suspend, wake, fire_due = core.current_task, core.suspend, core.wake, core.fire_due

local methods, case_methods = {}, {}
local Channel = core.class("channel.Channel", methods, function() return "channel.Channel{}" end)
local Case = core.class("channel.Case", case_methods, function(self)
  return core.case_text(self)
end)
function core.case_text(self) return Case.state(self).send and "channel.Case{send}" or "channel.Case{receive}" end

------------------------------------------------------------------------------------ queues
-- A ring of the coroutines that wait at a channel. An entry is taken out in one step, since
-- a select leaves all its queues when one of them fires.
local function new_queue()
  local ring = {}
  ring.next, ring.previous = ring, ring
  return ring
end

local function append(ring, entry)
  local last = ring.previous
  entry.previous, entry.next = last, ring
  last.next, ring.previous = entry, entry
end

local function take_out(entry)
  if not entry.next then return end
  entry.previous.next, entry.next.previous = entry.next, entry.previous
  entry.next, entry.previous = nil, nil
end

local function first_of(ring)
  local entry = ring.next
  return entry ~= ring and entry or nil
end

-- One of a coroutine's entries fires: it leaves every queue and can go on.
local function fire(entry, value, ok)
  local wait = entry.wait
  for n = 1, #wait.entries do take_out(wait.entries[n]) end
  wait.fired, wait.value, wait.ok = entry, value, ok
  wake(wait.task)
end

local function new_wait() return { task = current_task(), entries = {} } end

local function enqueue(wait, ring, entry)
  entry.wait = wait
  wait.entries[#wait.entries + 1] = entry
  append(ring, entry)
end

-------------------------------------------------------------------------------- operations
local function make(capacity)
  local state = { capacity = capacity, buffer = {}, head = 1, tail = 0, closed = false }
  state.senders, state.receivers = new_queue(), new_queue()
  local object = Channel.make(state)
  state.object = object
  return object
end

local function push(state, value)
  state.tail = state.tail + 1
  state.buffer[state.tail] = value
end

-- Send without waiting: whether the value was taken.
local function offer(state, value)
  local receiver = first_of(state.receivers)
  if receiver then
    fire(receiver, value, true)
    return true
  end
  if state.tail - state.head + 1 < state.capacity then
    push(state, value)
    return true
  end
  return false
end

-- Receive without waiting: whether there is something, the value, and ok.
local function poll(state)
  if state.tail >= state.head then
    local value = state.buffer[state.head]
    state.buffer[state.head], state.head = nil, state.head + 1
    local sender = first_of(state.senders)
    if sender then
      push(state, sender.value)
      fire(sender, sender.value, true)
    end
    return true, value, true
  end
  local sender = first_of(state.senders)
  if sender then
    fire(sender, sender.value, true)
    return true, sender.value, true
  end
  return state.closed, nil, false
end

local function close(state)
  if state.closed then return end
  state.closed = true
  local receiver = first_of(state.receivers)
  while receiver do
    fire(receiver, nil, false)
    receiver = first_of(state.receivers)
  end
  local sender = first_of(state.senders)
  while sender do
    -- A select goes on waiting for its other cases: sending here is never ready again.
    if sender.case then take_out(sender) else fire(sender, nil, false) end
    sender = first_of(state.senders)
  end
end

function methods.send(self, value)
  local state = Channel.self(self, "send")
  if state.closed then error("send on closed channel", 2) end
  if offer(state, value) then return true end
  local wait = new_wait()
  enqueue(wait, state.senders, { value = value })
  suspend()
  if wait.ok then return true end
  return nil, core.fail("Canceled", "channel closed")
end

function methods.receive(self)
  local state = Channel.self(self, "receive")
  fire_due()
  local ready, value, ok = poll(state)
  if ready then return value, ok end
  local wait = new_wait()
  enqueue(wait, state.receivers, {})
  suspend()
  return wait.value, wait.ok
end

function methods.close(self) close(Channel.self(self, "close")) end

function methods.case_send(self, value)
  return Case.make({ channel = Channel.self(self, "case_send"), send = true, value = value })
end

function methods.case_receive(self)
  return Case.make({ channel = Channel.self(self, "case_receive"), send = false })
end

------------------------------------------------------------------------------------ select
local function result_of(case, value, ok)
  return { channel = case.channel.object, value = value, ok = ok }
end

-- Try a case: its result if it was ready.
local function try(case)
  if not case.send then
    local ready, value, ok = poll(case.channel)
    return ready and result_of(case, value, ok) or nil
  end
  if not case.channel.closed and offer(case.channel, case.value) then
    return result_of(case, case.value, true)
  end
  return nil
end

local channel = {}

function channel.new(capacity)
  if capacity == nil then return make(0) end
  capacity = core.check_integer(capacity, 1, "new")
  return make(capacity > 0 and capacity or 0)
end

function channel.select(cases, default)
  core.check_table(cases, 1, "select")
  fire_due()
  local states = {}
  for n = 1, rawlen(cases) do
    local case = Case.state(rawget(cases, n))
    if case then
      local result = try(case)
      if result then return result end
      states[#states + 1] = case
    end
  end
  if default or rawget(cases, "default") then return { default = true, ok = true } end
  local wait = new_wait()
  for n = 1, #states do
    local case = states[n]
    if not case.send then
      enqueue(wait, case.channel.receivers, { case = case })
    elseif not case.channel.closed then
      enqueue(wait, case.channel.senders, { case = case, value = case.value })
    end
  end
  suspend()
  return result_of(wait.fired.case, wait.value, wait.ok)
end

---------------------------------------------------------------------- for trusted producers
core.new_channel = make
-- Send without waiting; what nobody can take is lost. Whether it was taken.
function core.offer(object, value)
  local state = Channel.state(object)
  return not state.closed and offer(state, value)
end
function core.close_channel(object) close(Channel.state(object)) end
function core.is_channel_closed(object) return Channel.state(object).closed end

return channel
