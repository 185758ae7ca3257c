-- The error objects of the documents: kind, message, retryable, details, a stack.
-- Always global as `errors`; every module returns them as its second value.
-- Source: spec/runtime.md 4.4.

local core = ...

local type, tostring, next, error, concat = type, tostring, next, error, table.concat
local getinfo, sub, match = debug.getinfo, string.sub, string.match

local MAX_FRAMES = 16

-- Where guest code stood when an error was made. Trusted chunks are named "(…)".
local function frames_here()
  local frames, level = {}, 3
  while #frames < MAX_FRAMES do
    local info = getinfo(level, "Sln")
    if not info then break end
    if info.what ~= "C" and sub(info.short_src, 1, 1) ~= "(" then
      frames[#frames + 1] = { source = info.short_src, line = info.currentline, name = info.name or "" }
    end
    level = level + 1
  end
  return frames
end

local methods = {}
local class

local function text_of(object)
  local state = class.state(object)
  if state.context then return state.context .. ": " .. state.message end
  return state.message
end

class = core.class("errors.Error", methods, text_of)
class.metatable.__concat = function(left, right)
  return core.display(left) .. core.display(right)
end

local function make(kind, message, retryable, details, context)
  return class.make({
    kind = kind, message = message, retryable = retryable, details = details,
    context = context, frames = frames_here(),
  })
end

-- For modules: an error that asking again will not change, unless said otherwise.
function core.fail(kind, message, retryable)
  return make(kind, message, retryable or false)
end

-- The error that the parent sent for a failed host call.
function core.from_parent(facts)
  return make(facts.kind, facts.message, facts.retryable, facts.details)
end

core.error_state = class.state

function methods.kind(self) return class.self(self, "kind").kind end
function methods.message(self) return class.self(self, "message").message end
function methods.retryable(self) return class.self(self, "retryable").retryable end
function methods.details(self) return class.self(self, "details").details end
function methods.stack(self)
  local lines = { text_of(self) }
  for _, frame in next, class.self(self, "stack").frames do
    lines[#lines + 1] = "  at " .. frame.source .. ":" .. frame.line .. (frame.name ~= "" and " in " .. frame.name or "")
  end
  return concat(lines, "\n")
end

local errors = {
  NOT_FOUND = "NotFound", ALREADY_EXISTS = "AlreadyExists", INVALID = "Invalid",
  PERMISSION_DENIED = "PermissionDenied", UNAVAILABLE = "Unavailable", INTERNAL = "Internal",
  CANCELED = "Canceled", CONFLICT = "Conflict", TIMEOUT = "Timeout",
  RATE_LIMITED = "RateLimited", UNKNOWN = "",
}

function errors.new(what)
  if type(what) == "string" then return make("", what) end
  if core.type_of(what) ~= "table" then core.argument_error(1, "new", "string or table", what) end
  if type(what.message) ~= "string" then error("errors.new: message is required", 2) end
  local kind = type(what.kind) == "string" and what.kind or ""
  local details = core.type_of(what.details) == "table" and next(what.details) ~= nil and what.details or nil
  local retryable
  if type(what.retryable) == "boolean" then retryable = what.retryable end
  return make(kind, what.message, retryable, details)
end

function errors.wrap(inner, context)
  context = core.check_string(context, 2, "wrap")
  local state = class.state(inner)
  if not state then
    return make("", core.check_string(inner, 1, "wrap"), nil, nil, context)
  end
  if state.context then context = context .. ": " .. state.context end
  return make(state.kind, state.message, state.retryable, state.details, context)
end

function errors.is(value, kind)
  local state = class.state(value)
  return state ~= nil and state.kind == kind
end

function errors.call_stack(value)
  local state = class.state(value)
  if not state then return nil end
  local frames = {}
  for n, frame in next, state.frames do
    frames[n] = { source = frame.source, line = frame.line, name = frame.name }
  end
  return { thread = "main", frames = frames }
end

-- What a failed call tells the parent: from an error object, a string, or anything else
-- that guest code threw.
function core.failure(thrown, kind)
  local state = class.state(thrown)
  if state then
    local first = state.frames[1]
    return {
      kind = state.kind ~= "" and state.kind or kind, message = text_of(thrown),
      retryable = state.retryable, details = state.details,
      where = first and (first.source .. ":" .. first.line) or nil,
    }
  end
  local message = type(thrown) == "string" and thrown or "the error value is a " .. core.kind_of(thrown)
  if type(thrown) == "number" then message = core.number_text(thrown) end
  local memory = match(message, "not enough memory$") and "memory" or nil
  return { kind = kind, message = sub(message, 1, 4000), limit = memory }
end

core.errors = errors
