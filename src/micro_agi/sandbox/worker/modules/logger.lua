-- A logger object: `logger:info("text", {field = 1})`. Source: spec/runtime.md 6.12.

local core = ...

local type, next, error, gmatch = type, next, error, string.gmatch

local function merged(first, second)
  local all = {}
  for name, value in next, first do all[name] = value end
  if core.type_of(second) == "table" then
    for name, value in next, second do
      if type(name) == "string" then all[name] = value end
    end
  end
  return all
end

local function make(name, fields)
  local logger = {}
  for level in gmatch("debug info warn error", "%S+") do
    logger[level] = function(_, message, more)
      message = core.check_string(message, 1, level)
      local _, problem = core.host("logger.log", level, message, merged(fields, more), name)
      if problem then error(problem, 2) end
    end
  end
  function logger.with(_, more) return core.freeze(make(name, merged(fields, core.check_table(more, 1, "with")))) end
  function logger.named(_, part)
    part = core.check_string(part, 1, "named")
    if part == "" then error("bad argument #1 to 'named' (a name expected)", 2) end
    return core.freeze(make(name == "" and part or name .. "." .. part, fields))
  end
  return logger
end

return make("", {})
