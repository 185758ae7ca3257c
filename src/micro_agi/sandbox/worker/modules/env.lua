-- Environment variables that the operator declared.
-- Source: spec/runtime.md 6.13.

local core = ...

local fail, host = core.fail, core.host

local env = {}

function env.get(name)
  name = core.check_string(name, 1, "get")
  if name == "" then return nil, fail("Invalid", "empty key") end
  return host("env.get", name)
end

function env.set(name, value)
  name, value = core.check_string(name, 1, "set"), core.check_string(value, 2, "set")
  if name == "" then return nil, fail("Invalid", "empty key") end
  return host("env.set", name, value)
end

function env.get_all() return host("env.get_all") end

return env
