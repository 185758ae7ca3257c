-- Call other functions of the registry, as oneself or with other context. The parent finds
-- the function, asks the policies, and runs it in another worker.
-- Source: spec/runtime.md 4.2.

local core = ...

local find, next, select = string.find, next, select
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

------------------------------------------------------------------------------------ futures
local future_methods = {}
local Future = core.class("funcs.Future", future_methods, function() return "funcs.Future{}" end)

local function settle(state, value, problem)
  state.done, state.value, state.problem = true, value, problem
  core.offer(state.channel, problem or core.new_payload(value))
  core.close_channel(state.channel)
end

-- A future of a host call that runs a function; or nil and why it was refused.
function core.future(...)
  local state = { channel = core.new_channel(1) }
  local name = ...
  state.number = core.start(name, function(value, failed, ran)
    settle(state, value, failed)
    state.refused = failed and not ran
  end, select(2, ...))
  -- It starts now, not when this code waits; what is refused at the door shows at once. A quick
  -- function may have failed by then: that is the future's to tell, as if it had been slow.
  core.hurry()
  if state.refused then return nil, state.problem end
  return Future.make(state), nil
end

local function async(target, method, options, ...)
  local problem = target_problem(core.check_string(target, 1, method))
  if problem then return nil, fail("Invalid", problem) end
  return core.future("funcs.call", target, options, ...)
end

-- The state of a future, after a look at what has come from the parent.
local function looked(self, method)
  local state = Future.self(self, method)
  if not state.done then core.poll() end
  return state
end

function future_methods.response(self) return Future.self(self, "response").channel end
function future_methods.channel(self) return Future.self(self, "channel").channel end
function future_methods.is_complete(self) return looked(self, "is_complete").done == true end
function future_methods.is_canceled(self) return Future.self(self, "is_canceled").canceled == true end

function future_methods.result(self)
  local state = looked(self, "result")
  if not state.done then return nil, nil end
  if state.problem then return nil, state.problem end
  return core.new_payload(state.value), nil
end

function future_methods.error(self)
  local state = looked(self, "error")
  if not state.problem then return nil, false end
  local facts = core.error_state(state.problem)
  return core.from_parent({ kind = "Internal", message = facts.message, retryable = facts.retryable, details = facts.details }), true
end

function future_methods.cancel(self)
  local state = Future.self(self, "cancel")
  if not state.done then
    core.drop(state.number)
    core.hurry()
    state.canceled = true
    settle(state, nil, fail("Canceled", "canceled"))
  end
  return true
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
  return changed(self, "with_actor", "security", "actor", core.actor_option(actor, "with_actor"))
end

function methods.with_scope(self, scope)
  return changed(self, "with_scope", "security", "scope", core.scope_option(scope, "with_scope"))
end

function methods.with_options(self, values)
  return changed(self, "with_options", nil, "options", core.check_table(values, 1, "with_options"))
end

function methods.call(self, target, ...) return call(target, "call", Executor.self(self, "call"), ...) end

function methods.async(self, target, ...) return async(target, "async", Executor.self(self, "async"), ...) end

local funcs = {}
function funcs.async(target, ...) return async(target, "async", {}, ...) end
function funcs.call(target, ...) return call(target, "call", {}, ...) end
function funcs.new() return Executor.make({}) end

return funcs
