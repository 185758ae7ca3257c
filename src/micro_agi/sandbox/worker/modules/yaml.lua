-- YAML text to values and back; `yaml_decode.lua` and `yaml_encode.lua` do the work.
-- Source: spec/runtime.md 6.3.

local core = ...

local type, rawget = type, rawget

local yaml = {}

local function field_order(options)
  local given, order, n = rawget(options, "field_order"), {}, 1
  if given == nil then return order end
  if core.type_of(given) ~= "table" then return nil end
  while rawget(given, n) ~= nil do
    order[n] = rawget(given, n)
    if type(order[n]) ~= "string" then return nil end
    n = n + 1
  end
  return order
end

-- Keys are always sorted, so `sort_unordered` is accepted and changes nothing: the documents
-- leave the order open without it.
function yaml.encode(value, options)
  if core.type_of(value) ~= "table" then return nil, core.fail("Invalid", "table expected") end
  if options == nil then return core.yaml_encode(value, {}, 4) end
  core.check_table(options, 2, "encode")
  local order = field_order(options)
  if not order then return nil, core.fail("Invalid", "field_order must be a list of strings") end
  return core.yaml_encode(value, order, 2)
end

function yaml.decode(text)
  if type(text) ~= "string" then return nil, core.fail("Invalid", "string expected") end
  if text == "" then return nil, core.fail("Invalid", "input cannot be empty") end
  return core.yaml_decode(text)
end

return yaml
