-- A call as a process: its pid, and the messages that come to it by topic. Starting further
-- processes is not there yet.
-- Source: spec/runtime.md 7.3.

local core = ...

local next, rawget, setmetatable, sub = next, rawget, setmetatable, string.sub
local fail, host, tasks = core.fail, core.host, core.tasks

local NEWS, INBOX = "process.next", ""
-- Messages are not lost to slow readers; the heap is the limit here, the parent has its own.
local CAPACITY = 1 << 30

local message_methods = {}
local Message = core.class("process.Message", message_methods, function(self)
  return core.message_text(self)
end)
function core.message_text(self) return "process.Message{topic=" .. Message.state(self).topic .. "}" end
function message_methods.topic(self) return Message.self(self, "topic").topic end
function message_methods.from(self) return Message.self(self, "from").from end
function message_methods.payload(self) return core.new_payload(Message.self(self, "payload").value) end

local function as_message(item) return Message.make({ topic = item[2], from = item[3], value = item[4] }) end

-- The channels of this call by topic; they go with it.
local function channels()
  tasks.listening = tasks.listening or {}
  local known = tasks.listening.topics or {}
  tasks.listening.topics, tasks.used = known, true
  return known
end

local function hear(key, whole)
  local known = channels()
  if known[key] then return known[key] end
  local channel = core.new_channel(CAPACITY)
  known[key] = channel
  core.hear(NEWS, key, function(item)
    local value
    if whole then value = as_message(item) else value = item[4] end
    core.offer(channel, value)
  end)
  return channel
end

local process = {}

function process.pid() return (host("process.pid")) end
process.id = process.pid

function process.listen(topic, options)
  topic = core.check_string(topic, 1, "listen")
  if topic == "" or sub(topic, 1, 1) == "@" then return nil, fail("Invalid", "invalid topic: '" .. topic .. "'") end
  local _, problem = host("process.listen", topic)
  if problem then return nil, problem end
  return hear(topic, core.type_of(options) == "table" and rawget(options, "message") == true), nil
end

function process.unlisten(channel)
  local known = channels()
  for topic, mine in next, known do
    if mine == channel then
      known[topic] = nil
      core.unhear(NEWS, topic)
      core.close_channel(channel)
      host("process.unlisten", topic)
      return true
    end
  end
  return false, fail("Invalid", "this channel listens to no topic")
end

function process.inbox()
  local _, problem = host("process.listen", INBOX)
  if problem then return nil, problem end
  return hear(INBOX, true), nil
end

function process.send(destination, topic, ...)
  destination = core.check_string(destination, 1, "send")
  topic = core.check_string(topic, 2, "send")
  if topic == "" or sub(topic, 1, 1) == "@" then return nil, fail("Invalid", "invalid topic: '" .. topic .. "'") end
  return host("process.send", destination, topic, ...)
end

setmetatable(process, { __index = function(_, name) core.not_yet("process." .. core.display(name))() end })

return process
