-- Make the values that the documents call userdata: errors, times, snapshots, scopes.
--
-- Lua alone cannot make userdata, so an object is an empty table with a protected metatable,
-- its state is in a side table that guests cannot reach, and the guests' `type` says
-- "userdata". Guests can neither read nor change what is inside but through its methods.
-- Libraries are frozen the same way: an empty table in front of the real one.

local core = ...

local error, type, tostring, setmetatable, next = error, type, tostring, setmetatable, next
local metatable_of, format, floor, is_integer = debug.getmetatable, string.format, math.floor, math.type
local huge = math.huge

local states = setmetatable({}, { __mode = "k" })
local object_metatables = {}
local frozen = setmetatable({}, { __mode = "k" })

function core.is_object(value)
  local metatable = metatable_of(value)
  return metatable ~= nil and object_metatables[metatable] ~= nil
end
local is_object = core.is_object

function core.type_of(value)
  local kind = type(value)
  if kind == "table" and is_object(value) then return "userdata" end
  return kind
end

-- The name for messages: the class of an object, else the Lua type.
function core.kind_of(value)
  if type(value) == "table" and is_object(value) then return metatable_of(value).__name end
  return type(value)
end

-- A class: `make(state)` returns an object, `state(object)` its state or nil.
function core.class(name, methods, text)
  local metatable = { __index = methods, __name = name, __metatable = false, __tostring = text }
  metatable.__newindex = function() error("a " .. name .. " cannot be changed", 2) end
  metatable.__pairs = function() error("a " .. name .. " cannot be iterated", 2) end
  metatable.__len = function() error("a " .. name .. " has no length", 2) end
  object_metatables[metatable] = true
  local class = { metatable = metatable }
  function class.make(state)
    local object = setmetatable({}, metatable)
    states[object] = state
    return object
  end
  function class.state(value)
    if type(value) == "table" and metatable_of(value) == metatable then return states[value] end
    return nil
  end
  -- For the methods: the state of `self`, or the usual complaint about a dot for a colon.
  function class.self(value, method)
    local state = class.state(value)
    if not state then
      error("bad argument #1 to '" .. method .. "' (" .. name .. " expected, got " .. core.kind_of(value) .. ")", 3)
    end
    return state
  end
  return class
end

-- A library that guests can read and list, but not change.
function core.freeze(library)
  local proxy = {}
  frozen[proxy] = true
  return setmetatable(proxy, {
    __index = library,
    __metatable = false,
    __newindex = function() error("attempt to change a read-only library", 2) end,
    __pairs = function()
      local copy = {}
      for key, value in next, library do copy[key] = value end
      return next, copy, nil
    end,
  })
end

-- Whether rawset must keep its hands off.
function core.is_protected(value)
  return type(value) == "table" and (frozen[value] or is_object(value)) or false
end

-- Text of a number as the documents' runtime prints it: integral floats without ".0".
function core.number_text(value)
  if is_integer(value) == "float" and value == floor(value) and value > -2 ^ 53 and value < 2 ^ 53 then
    return format("%d", value)
  end
  return tostring(value)
end

-- Text of something that is no plain data, without running guest code: objects and numbers
-- as tostring has them; tables, functions and threads by type, since an address would differ
-- from run to run.
function core.plain_text(value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" then return core.number_text(value) end
  if kind == "boolean" then return tostring(value) end
  if kind == "table" and is_object(value) then return tostring(value) end
  return kind
end

-------------------------------------------------------------------------- argument checks
function core.argument_error(position, method, expected, value, level)
  local got = value == nil and "no value" or core.kind_of(value)
  error(format("bad argument #%d to '%s' (%s expected, got %s)", position, method, expected, got), (level or 2) + 1)
end

-- Strings and numbers, like the C library's check.
function core.check_string(value, position, method)
  if type(value) == "string" then return value end
  if type(value) == "number" then return core.number_text(value) end
  return core.argument_error(position, method, "string", value, 3)
end

function core.check_integer(value, position, method)
  if is_integer(value) == "integer" then return value end
  if type(value) == "number" and value == floor(value) and value > -huge and value < huge then
    return floor(value)
  end
  return core.argument_error(position, method, "integer", value, 3)
end

function core.check_table(value, position, method)
  if core.type_of(value) == "table" then return value end
  return core.argument_error(position, method, "table", value, 3)
end
