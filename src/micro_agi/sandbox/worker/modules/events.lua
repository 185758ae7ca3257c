-- Events between the parts of one program. A subscription is a channel; one host call in
-- flight waits for the news of all of them (news.lua).
-- Source: spec/runtime.md 6.15.

local core = ...

local fail, host = core.fail, core.host

local BUFFER = 64
local NEWS = "events.next"

local methods = {}
local Subscription = core.class("events.Subscription", methods, function() return "events.Subscription{}" end)

function methods.channel(self) return Subscription.self(self, "channel").channel end

function methods.close(self)
  local state = Subscription.self(self, "close")
  if state.closed then return true end
  state.closed = true
  core.unhear(NEWS, state.id)
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
  core.hear(NEWS, id, function(item) core.offer(channel, item[2]) end)
  return Subscription.make({ id = id, channel = channel }), nil
end

function events.send(system, kind, path, data)
  if core.check_string(system, 1, "send") == "" then return nil, fail("Invalid", "system is required") end
  if core.check_string(kind, 2, "send") == "" then return nil, fail("Invalid", "kind is required") end
  if core.check_string(path, 3, "send") == "" then return nil, fail("Invalid", "path is required") end
  return host("events.send", system, kind, path, data)
end

return events
