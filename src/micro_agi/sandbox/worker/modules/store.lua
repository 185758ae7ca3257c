-- Keys and values that last. A store object is a name and whether it was released; every
-- operation is the parent's.
-- Source: spec/runtime.md 6.16.

local core = ...

local fail, host = core.fail, core.host

local methods = {}
local Store = core.class("store.Store", methods, function(self) return "store.Store{" .. core.store_id(self) .. "}" end)
function core.store_id(self) return Store.state(self).id end

-- The store's id; or nil and why the operation cannot be.
local function checked(self, method, key, needs_key)
  local state = Store.self(self, method)
  if state.released then return nil, fail("Invalid", "store is released") end
  if needs_key and core.check_string(key, 1, method) == "" then return nil, fail("Invalid", "key is required") end
  return state.id
end

function methods.get(self, key)
  local id, problem = checked(self, "get", key, true)
  if not id then return nil, problem end
  local entry
  entry, problem = host("store.key.get", id, key)
  if problem then return nil, problem end
  if not entry then return nil, fail("NotFound", "key not found: " .. key) end
  return entry.value, nil
end

function methods.entry(self, key)
  local id, problem = checked(self, "entry", key, true)
  if not id then return nil, problem end
  local entry
  entry, problem = host("store.key.get", id, key)
  if problem then return nil, problem end
  if not entry then return nil, fail("NotFound", "key not found: " .. key) end
  return entry, nil
end

function methods.has(self, key)
  local id, problem = checked(self, "has", key, true)
  if not id then return nil, problem end
  local entry
  entry, problem = host("store.key.get", id, key, true)
  if problem then return nil, problem end
  return entry ~= nil, nil
end

local function put(self, method, key, value, options)
  local id, problem = checked(self, method, key, true)
  if not id then return nil, problem end
  if value == nil then return nil, fail("Invalid", "value is required") end
  return host("store.key.set", id, key, value, options)
end

function methods.set(self, key, value, ttl)
  local entry, problem = put(self, "set", key, value, { ttl = ttl })
  if problem then return nil, problem end
  return entry ~= nil, nil
end

function methods.put(self, key, value, options)
  if options ~= nil then core.check_table(options, 3, "put") end
  return put(self, "put", key, value, options or {})
end

function methods.delete(self, key)
  local id, problem = checked(self, "delete", key, true)
  if not id then return nil, problem end
  return host("store.key.delete", id, key)
end

function methods.list(self, options)
  local id, problem = checked(self, "list")
  if not id then return nil, problem end
  if options ~= nil then core.check_table(options, 1, "list") end
  return host("store.key.list", id, options or {})
end

function methods.info(self)
  local id, problem = checked(self, "info")
  if not id then return nil, problem end
  return host("store.info", id)
end

function methods.release(self)
  Store.self(self, "release").released = true
  return true
end

local store = {}

function store.get(id)
  if core.check_string(id, 1, "get") == "" then return nil, fail("Invalid", "resource id is required") end
  local _, problem = host("store.open", id)
  if problem then return nil, problem end
  return Store.make({ id = id }), nil
end

return store
