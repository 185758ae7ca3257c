-- Call other functions of the registry, as oneself or with other context. The parent finds
-- the function, asks the policies, and runs it in another worker.
-- Source: spec/runtime.md 4.2.

local core = ...

local find, sub, next = string.find, string.sub, next
local fail, host = core.fail, core.host

-- What is wrong with a target, or nil.
local function target_problem(target)
  if target == "" then return "function ID required" end
  local colon = find(target, ":", 1, true)
  if not colon or colon == 1 then return "namespace required in function ID" end
  if colon == #target then return "name required in function ID" end
  return nil
end

local function call(target, method, options, ...)
  local problem = target_problem(core.check_string(target, 1, method))
  if problem then return nil, fail("Invalid", problem) end
  return host("funcs.call", target, options, ...)
end

local methods = {}
local Executor = core.class("funcs.Executor", methods, function() return "funcs.Executor{}" end)

-- A copy with one option changed, if the parent lets this code set it.
local function changed(self, method, right, name, value)
  local state = Executor.self(self, method)
  if right then
    local _, problem = host("funcs.allow", right)
    if problem then return nil, problem end
  end
  local options = {}
  for known, kept in next, state do options[known] = kept end
  options[name] = value
  return Executor.make(options)
end

function methods.with_context(self, values)
  core.check_table(values, 1, "with_context")
  local merged = {}
  for name, value in next, Executor.self(self, "with_context").context or {} do merged[name] = value end
  for name, value in next, values do merged[name] = value end
  return changed(self, "with_context", "context", "context", merged)
end

function methods.with_actor(self, actor)
  local state = core.actor_of(actor)
  if not state then core.argument_error(1, "with_actor", "security.Actor", actor) end
  return changed(self, "with_actor", "security", "actor", { id = state.id, meta = state.meta })
end

function methods.with_scope(self, scope)
  local policies = core.scope_of(scope)
  if not policies then core.argument_error(1, "with_scope", "security.Scope", scope) end
  local ids = {}
  for n = 1, #policies do ids[n] = policies[n].id end
  return changed(self, "with_scope", "security", "scope", ids)
end

function methods.with_options(self, values)
  return changed(self, "with_options", nil, "options", core.check_table(values, 1, "with_options"))
end

function methods.call(self, target, ...) return call(target, "call", Executor.self(self, "call"), ...) end

local function no_async() return nil, fail("Unavailable", "`async` is not available yet: futures need channels, which come later") end
methods.async = no_async

local funcs = { async = no_async }
function funcs.call(target, ...) return call(target, "call", {}, ...) end
function funcs.new() return Executor.make({}) end

return funcs
