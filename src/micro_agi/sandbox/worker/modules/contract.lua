-- Contracts: named sets of methods, and the bindings that say which functions they are.
-- The parent resolves a binding at every call; an instance only remembers its name, its
-- methods and the values that go along.
-- Source: spec/runtime.md 6.17.

local core = ...

local next, type, find, sub, gmatch, tonumber = next, type, string.find, string.sub, string.gmatch, tonumber
local fail, host = core.fail, core.host

local function merged(a, b)
  local both = {}
  for name, value in next, a or {} do both[name] = value end
  for name, value in next, b or {} do both[name] = value end
  return both
end

---------------------------------------------------------------------------------- instances
local Instance = core.class("contract.Instance", {}, function(self) return "contract.Instance{" .. core.binding_of(self) .. "}" end)
function core.binding_of(self) return Instance.state(self).binding end

function Instance.metatable.__index(self, name)
  local state = Instance.state(self)
  if type(name) ~= "string" then return nil end
  if state.methods[name] then
    return function(instance, ...)
      local own = Instance.self(instance, name)
      return host("contract.call", own.binding, own.contract, name, own.options, ...)
    end
  end
  local base = sub(name, -6) == "_async" and sub(name, 1, -7)
  if base and state.methods[base] then
    return function(instance, ...)
      local own = Instance.self(instance, name)
      return core.future("contract.call", own.binding, own.contract, base, own.options, ...)
    end
  end
  return nil
end

-- The values of a query: true and false, whole numbers and fractions are what they look like.
local function typed(text)
  if text == "true" then return true elseif text == "false" then return false end
  if find(text, "^-?%d+$") or find(text, "^-?%d+%.%d+$") then return tonumber(text) end
  return text
end

local function query_of(id)
  local mark = find(id, "?", 1, true)
  if not mark then return id, {} end
  local values = {}
  for pair in gmatch(sub(id, mark + 1), "[^&]+") do
    local equal = find(pair, "=", 1, true)
    local name = core.url.decode(sub(pair, 1, (equal or #pair + 1) - 1))
    local value = core.url.decode(equal and sub(pair, equal + 1) or "")
    if name and value then values[name] = typed(value) end
  end
  return sub(id, 1, mark - 1), values
end

local function open(id, contract, scope, options)
  local binding, values = query_of(id)
  if scope ~= nil then values = merged(values, scope) end
  options = merged(options, { context = merged(options and options.context, values) })
  local facts, problem = host("contract.open", binding, contract, options)
  if problem then return nil, problem end
  local methods = {}
  for n = 1, #facts.methods do methods[facts.methods[n]] = true end
  return Instance.make({ binding = facts.binding, contract = facts.contract, methods = methods, options = options }), nil
end

---------------------------------------------------------------------------------- contracts
local contract_methods = {}
local Contract = core.class("contract.Contract", contract_methods, function(self) return "contract.Contract{" .. core.contract_of(self) .. "}" end)
function core.contract_of(self) return Contract.state(self).id end

local function copy(value)
  if core.type_of(value) ~= "table" then return value end
  local copied = {}
  for key, inner in next, value do copied[key] = copy(inner) end
  return copied
end

function contract_methods.id(self) return Contract.self(self, "id").id end
function contract_methods.methods(self) return copy(Contract.self(self, "methods").methods) end

function contract_methods.method(self, name)
  local state = Contract.self(self, "method")
  name = core.check_string(name, 1, "method")
  for n = 1, #state.methods do
    if state.methods[n].name == name then return copy(state.methods[n]), nil end
  end
  return nil, fail("NotFound", "method '" .. name .. "' not found in contract '" .. state.id .. "'")
end

function contract_methods.implementations(self)
  return host("contract.implementations", Contract.self(self, "implementations").id)
end

function contract_methods.open(self, binding, scope)
  local state = Contract.self(self, "open")
  if binding ~= nil then core.check_string(binding, 1, "open") end
  if scope ~= nil then core.check_table(scope, 2, "open") end
  return open(binding or "", state.id, scope, state.options)
end

-- A copy with one option changed, if the parent lets this code set it.
local function changed(self, method, right, name, value)
  local state = Contract.self(self, method)
  if right then
    local _, problem = host("contract.allow", right)
    if problem then return nil, problem end
  end
  return Contract.make({ id = state.id, methods = state.methods, options = merged(state.options, { [name] = value }) })
end

function contract_methods.with_context(self, values)
  core.check_table(values, 1, "with_context")
  local options = Contract.self(self, "with_context").options
  return changed(self, "with_context", "context", "context", merged(options and options.context, values))
end

function contract_methods.with_actor(self, actor)
  return changed(self, "with_actor", "security", "actor", core.actor_option(actor, "with_actor"))
end

function contract_methods.with_scope(self, scope)
  return changed(self, "with_scope", "security", "scope", core.scope_option(scope, "with_scope"))
end

function contract_methods.with_options(self, values)
  return changed(self, "with_options", nil, "options", core.check_table(values, 1, "with_options"))
end

local contract = {}

function contract.get(id)
  if core.check_string(id, 1, "get") == "" then return nil, fail("Invalid", "contract id is required") end
  local facts, problem = host("contract.get", id)
  if problem then return nil, problem end
  return Contract.make({ id = facts.id, methods = facts.methods }), nil
end

function contract.open(binding, scope, options)
  if core.check_string(binding, 1, "open") == "" then return nil, fail("Invalid", "binding id is required") end
  if scope ~= nil then core.check_table(scope, 2, "open") end
  if options ~= nil then core.check_table(options, 3, "open") end
  return open(binding, nil, scope, { options = options })
end

function contract.find_implementations(id)
  if core.check_string(id, 1, "find_implementations") == "" then return nil, fail("Invalid", "contract id is required") end
  return host("contract.implementations", id)
end

function contract.is(instance, id)
  id = core.check_string(id, 2, "is")
  local state = Instance.state(instance)
  if not state then return false end
  return host("contract.implements", state.binding, id) == true
end

return contract
