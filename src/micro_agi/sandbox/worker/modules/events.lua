-- Events between the parts of one program. A subscription is a channel; one host call in
-- flight waits for the news of all of them.
-- Source: spec/runtime.md 6.15.

local core = ...

local next = next
local fail, host, tasks = core.fail, core.host, core.tasks

local BUFFER = 64

local methods = {}
local Subscription = core.class("events.Subscription", methods, function() return "events.Subscription{}" end)

local listen
-- Wait for the next events while there is a subscription.
function listen(state)
  if state.number or not next(state.channels) then return end
  state.number = core.start("events.next", function(items, problem)
    state.number = nil
    if problem then return end
    for n = 1, #items do
      local channel = state.channels[items[n][1]]
      if channel then core.offer(channel, items[n][2]) end
    end
    listen(state)
  end)
end

function methods.channel(self) return Subscription.self(self, "channel").channel end

function methods.close(self)
  local state = Subscription.self(self, "close")
  if state.closed then return true end
  state.closed = true
  local listening = tasks.listening
  if listening then
    listening.channels[state.id] = nil
    if not next(listening.channels) and listening.number then
      core.drop(listening.number)
      listening.number = nil
      core.hurry()
    end
  end
  core.close_channel(state.channel)
  host("events.unsubscribe", state.id)
  return true
end

local events = {}

function events.subscribe(system, kind)
  if core.check_string(system, 1, "subscribe") == "" then return nil, fail("Invalid", "system pattern is required") end
  if kind ~= nil then core.check_string(kind, 2, "subscribe") end
  local id, problem = host("events.subscribe", system, kind)
  if problem then return nil, problem end
  local channel = core.new_channel(BUFFER)
  local state = tasks.listening or { channels = {} }
  tasks.listening, tasks.used = state, true
  state.channels[id] = channel
  listen(state)
  return Subscription.make({ id = id, channel = channel }), nil
end

function events.send(system, kind, path, data)
  if core.check_string(system, 1, "send") == "" then return nil, fail("Invalid", "system is required") end
  if core.check_string(kind, 2, "send") == "" then return nil, fail("Invalid", "kind is required") end
  if core.check_string(path, 3, "send") == "" then return nil, fail("Invalid", "path is required") end
  return host("events.send", system, kind, path, data)
end

return events
