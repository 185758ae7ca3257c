-- Actors, policies and scopes as Lua code sees them. The objects hold plain data from the
-- parent; every decision, and every right to make an object, is the parent's.
-- Source: spec/runtime.md 3.6.

local core = ...

local type, next, error = type, next, error
local fail, host = core.fail, core.host

local actor_methods, policy_methods, scope_methods = {}, {}, {}
local Actor = core.class("security.Actor", actor_methods, function(self) return "security.Actor{" .. core.actor_of(self).id .. "}" end)
local Policy = core.class("security.Policy", policy_methods, function(self) return "security.Policy{" .. core.policy_of(self).id .. "}" end)
local Scope = core.class("security.Scope", scope_methods, function(self) return "security.Scope{policies=" .. #core.scope_of(self) .. "}" end)

core.actor_of, core.policy_of = Actor.state, Policy.state
-- The list of policies of a scope object, or nil.
function core.scope_of(value)
  local state = Scope.state(value)
  return state and state.policies
end

-- What the parent is told of the actor that a call shall have: the argument of `method`.
function core.actor_option(value, method)
  local state = Actor.state(value)
  if not state then core.argument_error(1, method, "security.Actor", value, 3) end
  return { id = state.id, meta = state.meta }
end

-- The same of a scope: the ids of its policies.
function core.scope_option(value, method)
  local policies = core.scope_of(value)
  if not policies then core.argument_error(1, method, "security.Scope", value, 3) end
  local ids = {}
  for n = 1, #policies do ids[n] = policies[n].id end
  return ids
end

local function copy(value)
  if core.type_of(value) ~= "table" then return value end
  local copied = {}
  for key, inner in next, value do copied[key] = copy(inner) end
  return copied
end

local function actor_argument(value, position, method)
  local state = Actor.state(value)
  if not state then core.argument_error(position, method, "security.Actor", value, 3) end
  return state
end

local function evaluate(policies, actor, action, resource, meta)
  local state = actor_argument(actor, 1, "evaluate")
  action, resource = core.check_string(action, 2, "evaluate"), core.check_string(resource, 3, "evaluate")
  local answer, problem = host("security.evaluate", policies, state, action, resource, meta)
  if problem then error(problem, 3) end
  return answer
end

function actor_methods.id(self) return Actor.self(self, "id").id end
function actor_methods.meta(self) return copy(Actor.self(self, "meta").meta) end

function policy_methods.id(self) return Policy.self(self, "id").id end
function policy_methods.evaluate(self, actor, action, resource, meta)
  return evaluate({ Policy.self(self, "evaluate") }, actor, action, resource, meta)
end

-- Whether the parent lets this code make something; a refusal is raised.
local function require_right(...)
  local _, problem = host(...)
  if problem then error(problem, 3) end
end

-- The id meant by a policy, an id, or {ns=, name=}.
local function policy_id(value, method)
  local state = Policy.state(value)
  if state then return state.id end
  if type(value) == "string" then return value end
  if core.type_of(value) == "table" and type(value.ns) == "string" and type(value.name) == "string" then
    return value.ns .. ":" .. value.name
  end
  return core.argument_error(1, method, "security.Policy or id", value, 3)
end

local function without(policies, id)
  local kept = {}
  for n = 1, #policies do
    if policies[n].id ~= id then kept[#kept + 1] = policies[n] end
  end
  return kept
end

scope_methods["with"] = function(self, policy)
  local state, added = Scope.self(self, "with"), Policy.state(policy)
  if not added then core.argument_error(1, "with", "security.Policy", policy) end
  require_right("security.scope_change", "with")
  local policies = without(state.policies, added.id)
  policies[#policies + 1] = added
  return Scope.make({ policies = policies })
end

function scope_methods.without(self, value)
  local state, id = Scope.self(self, "without"), policy_id(value, "without")
  require_right("security.scope_change", "without")
  return Scope.make({ policies = without(state.policies, id) })
end

function scope_methods.contains(self, value)
  local state, id = Scope.self(self, "contains"), policy_id(value, "contains")
  return #without(state.policies, id) < #state.policies
end

function scope_methods.policies(self)
  local list = {}
  for n, policy in next, Scope.self(self, "policies").policies do list[n] = Policy.make(policy) end
  return list
end

function scope_methods.evaluate(self, actor, action, resource, meta)
  return evaluate(Scope.self(self, "evaluate").policies, actor, action, resource, meta)
end

local security = {}

local function asked(name)
  local facts, problem = host(name)
  if problem then error(problem, 3) end
  return facts
end

function security.actor()
  local facts = asked("security.actor")
  return facts and Actor.make({ id = facts.id, meta = facts.meta or {} }) or nil
end

function security.scope()
  local facts = asked("security.scope")
  return facts and Scope.make({ policies = facts.policies }) or nil
end

function security.can(action, resource, meta)
  action, resource = core.check_string(action, 1, "can"), core.check_string(resource, 2, "can")
  return host("security.can", action, resource, meta) == true
end

function security.new_actor(id, meta)
  id = core.check_string(id, 1, "new_actor")
  meta = meta ~= nil and copy(core.check_table(meta, 2, "new_actor")) or {}
  require_right("security.new_actor", id, meta)
  return Actor.make({ id = id, meta = meta })
end

function security.new_scope(list)
  local policies, ids = {}, {}
  if list ~= nil then
    core.check_table(list, 1, "new_scope")
    for n = 1, #list do
      local state = Policy.state(list[n])
      if not state then core.argument_error(1, "new_scope", "list of security.Policy", list[n]) end
      policies = without(policies, state.id)
      policies[#policies + 1], ids[#ids + 1] = state, state.id
    end
  end
  require_right("security.new_scope", ids)
  return Scope.make({ policies = policies })
end

function security.policy(id)
  local facts, problem = host("security.policy", core.check_string(id, 1, "policy"))
  if not facts then return nil, problem end
  return Policy.make(facts), nil
end

function security.named_scope(id)
  local facts, problem = host("security.named_scope", core.check_string(id, 1, "named_scope"))
  if not facts then return nil, problem end
  return Scope.make({ policies = facts.policies }), nil
end

function security.token_store(id)
  if core.check_string(id, 1, "token_store") == "" then
    return nil, fail("Invalid", "token store id is required")
  end
  return nil, fail("Unavailable", "token stores are not available yet")
end

return security
