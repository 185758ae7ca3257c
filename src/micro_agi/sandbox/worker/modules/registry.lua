-- The registry as Lua code sees it: entries, snapshots, change sets, versions, history.
-- The objects live here; what they read and write is asked of the parent, which decides.
-- Source: spec/runtime.md 1.5.

local core = ...

local type, next, error, find, sub = type, next, error, string.find, string.sub
local fail, host = core.fail, core.host

---------------------------------------------------------------------------------- entries
local function id_text(namespace, name) return namespace .. ":" .. name end

local function parse_id(text)
  local colon = find(text, ":", 1, true)
  if not colon then return { ns = "", name = text } end
  return { ns = sub(text, 1, colon - 1), name = sub(text, colon + 1) }
end

-- The text of an id given as a string or as {ns=, name=}; nil and what is wrong otherwise.
local function read_id(value, complaint)
  if type(value) == "string" then
    local id = parse_id(value)
    return id_text(id.ns, id.name)
  end
  if core.type_of(value) ~= "table" then return nil, complaint end
  if type(value.ns) ~= "string" or type(value.name) ~= "string" or value.ns == "" or value.name == "" then
    return nil, "id requires ns and name fields"
  end
  return id_text(value.ns, value.name)
end

local function read_entry(value)
  if core.type_of(value) ~= "table" then return nil, "entry must be a table" end
  local id, problem = read_id(value.id, "entry must have valid id field")
  if not id then return nil, problem end
  if type(value.kind) ~= "string" or value.kind == "" then return nil, "entry must have kind field" end
  local meta = {}
  if core.type_of(value.meta) == "table" then
    for name, fact in next, value.meta do
      if type(name) == "string" then meta[name] = fact end
    end
  end
  return { id = id, kind = value.kind, meta = meta, data = value.data }
end

--------------------------------------------------------------------------------- versions
local version_methods, snapshot_methods, changes_methods, history_methods = {}, {}, {}, {}
local Version = core.class("registry.Version", version_methods, function(self)
  return "registry.Version{v" .. core.version_of(self) .. "}"
end)
function core.version_of(value)
  local state = Version.state(value)
  return state and state.number
end
local function make_version(number) return Version.make({ number = number }) end

local function neighbour(number, step)
  local numbers, problem = host("registry.versions")
  if not numbers then return nil, problem end
  for n = 1, #numbers do
    if numbers[n] == number then return numbers[n + step] and make_version(numbers[n + step]) or nil end
  end
  return nil
end

function version_methods.id(self) return Version.self(self, "id").number end
function version_methods.string(self) return "v" .. Version.self(self, "string").number end
function version_methods.previous(self) return neighbour(Version.self(self, "previous").number, -1) end
function version_methods.next(self) return neighbour(Version.self(self, "next").number, 1) end

---------------------------------------------------------------------------------- changes
local Changes = core.class("registry.Changes", changes_methods, function(self)
  return "registry.Changes{ops=" .. core.changes_size(self) .. "}"
end)
function core.changes_size(value) return #Changes.state(value).operations end

local function add(self, method, kind, value)
  local state = Changes.self(self, method)
  local entry, problem = read_entry(value)
  if not entry then return nil, fail("Invalid", problem) end
  state.operations[#state.operations + 1] = { kind = kind, entry = entry }
  return self
end

function changes_methods.create(self, entry) return add(self, "create", "entry.create", entry) end
function changes_methods.update(self, entry) return add(self, "update", "entry.update", entry) end

function changes_methods.delete(self, value)
  local state = Changes.self(self, "delete")
  local id, problem = read_id(value, "invalid ID format")
  if not id then return nil, fail("Invalid", problem) end
  state.operations[#state.operations + 1] = { kind = "entry.delete", entry = { id = id } }
  return self
end

function changes_methods.ops(self)
  local operations = {}
  for n, operation in next, Changes.self(self, "ops").operations do
    local entry = {}
    for name, value in next, operation.entry do entry[name] = value end
    operations[n] = { kind = operation.kind, entry = entry }
  end
  return operations
end

function changes_methods.apply(self)
  local state = Changes.self(self, "apply")
  if #state.operations == 0 then return nil, fail("Invalid", "no changes to apply") end
  local number, problem = host("registry.apply", state.operations, state.version)
  if not number then return nil, problem end
  return make_version(number), nil
end

--------------------------------------------------------------------------------- snapshots
local Snapshot = core.class("registry.Snapshot", snapshot_methods, function(self)
  return "registry.Snapshot{version=v" .. core.snapshot_version(self) .. "}"
end)
function core.snapshot_version(value) return Snapshot.state(value).version end

function snapshot_methods.entries(self)
  return host("registry.entries", Snapshot.self(self, "entries").version)
end

function snapshot_methods.get(self, id)
  local state = Snapshot.self(self, "get")
  return host("registry.get", core.check_string(id, 1, "get"), state.version)
end

-- One value on success: the documents' listings of a snapshot have no second one.
local function only(list, problem)
  if problem then return nil, problem end
  return list
end

function snapshot_methods.namespace(self, namespace)
  local state = Snapshot.self(self, "namespace")
  return only(host("registry.namespace", core.check_string(namespace, 1, "namespace"), state.version))
end

function snapshot_methods.find(self, filter)
  local state = Snapshot.self(self, "find")
  if core.type_of(filter) ~= "table" then return nil, fail("Invalid", "filter criteria table required") end
  return only(host("registry.find", filter, state.version))
end

function snapshot_methods.changes(self)
  return Changes.make({ operations = {}, version = Snapshot.self(self, "changes").version })
end

function snapshot_methods.version(self) return make_version(Snapshot.self(self, "version").version) end

local function snapshot_at(number)
  if number <= 0 then return nil, fail("Invalid", "invalid version ID") end
  local version, problem = host("registry.snapshot", number)
  if not version then return nil, problem end
  return Snapshot.make({ version = version }), nil
end

------------------------------------------------------------------------------------ history
local History = core.class("registry.History", history_methods, function() return "registry.History{}" end)

local function all_versions()
  local numbers, problem = host("registry.versions")
  if not numbers then return nil, problem end
  local versions = {}
  for n = 1, #numbers do versions[n] = make_version(numbers[n]) end
  return versions, nil
end

function history_methods.versions(self)
  History.self(self, "versions")
  return all_versions()
end

function history_methods.get_version(self, number)
  History.self(self, "get_version")
  number = core.check_integer(number, 1, "get_version")
  if number < 0 then return nil, fail("Invalid", "invalid version ID") end
  local numbers, problem = host("registry.versions")
  if not numbers then return nil, problem end
  for n = 1, #numbers do
    if numbers[n] == number then return make_version(number), nil end
  end
  return nil, fail("NotFound", "version not found")
end

function history_methods.snapshot_at(self, version)
  History.self(self, "snapshot_at")
  local number = core.version_of(version)
  if not number then return nil, fail("Invalid", "expected version object") end
  return snapshot_at(number)
end

---------------------------------------------------------------------------------- functions
local registry = {}

function registry.get(id) return host("registry.get", core.check_string(id, 1, "get")) end

function registry.find(filter)
  if core.type_of(filter) ~= "table" then return nil, fail("Invalid", "filter criteria table required") end
  return host("registry.find", filter)
end

function registry.parse_id(text) return parse_id(core.check_string(text, 1, "parse_id")) end

function registry.snapshot()
  local version, problem = host("registry.snapshot")
  if not version then return nil, problem end
  return Snapshot.make({ version = version }), nil
end

function registry.snapshot_at(number) return snapshot_at(core.check_integer(number, 1, "snapshot_at")) end

function registry.current_version()
  local version, problem = host("registry.snapshot")
  if not version then return nil, problem end
  return make_version(version), nil
end

function registry.versions() return all_versions() end
function registry.history() return History.make({}), nil end

function registry.apply_version(version)
  if core.type_of(version) ~= "userdata" then core.argument_error(1, "apply_version", "registry.Version", version) end
  local number = core.version_of(version)
  if not number then return nil, fail("Invalid", "expected version object") end
  local done, problem = host("registry.apply_version", number)
  if problem then
    if problem:kind() == "PermissionDenied" then return nil, problem end
    return false, problem
  end
  return done, nil
end

local function same(a, b)
  if core.type_of(a) ~= "table" or core.type_of(b) ~= "table" then return a == b end
  for key, value in next, a do
    if not same(value, b[key]) then return false end
  end
  for key in next, b do
    if a[key] == nil then return false end
  end
  return true
end

local function by_id(list)
  local order, entries = {}, {}
  for n = 1, #list do
    local entry = read_entry(list[n])
    if entry then
      order[#order + 1] = entry.id
      entries[entry.id] = entry
    end
  end
  return order, entries
end

function registry.build_delta(from_list, to_list)
  if core.type_of(from_list) ~= "table" then return nil, fail("Invalid", "from_entries table required") end
  if core.type_of(to_list) ~= "table" then return nil, fail("Invalid", "to_entries table required") end
  local from_order, from = by_id(from_list)
  local to_order, to = by_id(to_list)
  local delta = {}
  for _, id in next, to_order do
    if not from[id] then delta[#delta + 1] = { kind = "entry.create", entry = to[id] }
    elseif not same(from[id], to[id]) then delta[#delta + 1] = { kind = "entry.update", entry = to[id] } end
  end
  for _, id in next, from_order do
    if not to[id] then delta[#delta + 1] = { kind = "entry.delete", entry = from[id] } end
  end
  return delta, nil
end

return registry
