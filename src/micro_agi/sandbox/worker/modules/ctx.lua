-- The values of the call: what callers gave with `with_context`, and the session's own.
-- Source: spec/runtime.md 6.14.

local core = ...

local fail, host = core.fail, core.host

local ctx = {}

function ctx.get(key)
  key = core.check_string(key, 1, "get")
  if key == "" then return nil, fail("Invalid", "empty key") end
  return host("ctx.get", key)
end

function ctx.all() return host("ctx.all") end

return ctx
