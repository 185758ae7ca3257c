-- The standard names a guest sees: what spec/runtime.md 5.2 lists, and nothing absent there.
-- Everything is a private copy behind a frozen table, so that no guest changes it for another.

local core = ...

local error, type, tostring, setmetatable, rawset, rawget = error, type, tostring, setmetatable, rawset, rawget
local next, log, atan, exp = next, math.log, math.atan, math.exp
local metatable_of = debug.getmetatable
local freeze = core.freeze

local function pick(library, names)
  local picked = {}
  for name in string.gmatch(names, "%S+") do picked[name] = library[name] end
  return picked
end

local strings = pick(string, [[byte char find format gmatch gsub len lower match rep reverse
  sub upper pack unpack packsize]])
-- `("x"):upper()` works through the metatable of strings, which guests can neither see nor
-- change; string.dump is not in the copy.
local of_strings = metatable_of("")
of_strings.__index = strings
of_strings.__metatable = false

local maths = pick(math, [[abs acos asin atan ceil cos deg exp floor fmod huge log max
  maxinteger min mininteger modf pi rad random randomseed sin sqrt tan tointeger type ult]])
function maths.pow(x, y) return x ^ y end
function maths.log10(x) return log(x, 10) end
function maths.atan2(y, x) return atan(y, x) end
function maths.sinh(x) return (exp(x) - exp(-x)) / 2 end
function maths.cosh(x) return (exp(x) + exp(-x)) / 2 end
function maths.tanh(x)
  if x > 20 then return 1.0 elseif x < -20 then return -1.0 end
  local up, down = exp(x), exp(-x)
  return (up - down) / (up + down)
end

local coroutines = pick(coroutine, "create status running isyieldable")
for name, wrapped in next, core.coroutines do coroutines[name] = wrapped end

local base = pick(_G, "assert error pcall xpcall tonumber pairs ipairs next select rawequal getmetatable")
base._VERSION = "Lua 5.4"
base.unpack = table.unpack
base.type = core.type_of
base.string = freeze(strings)
base.table = freeze(pick(table, "insert remove concat sort unpack pack move"))
base.math = freeze(maths)
base.coroutine = freeze(coroutines)
base.package = freeze({
  path = "", cpath = "",
  loadlib = function() return nil, "dynamic libraries are not available", "absent" end,
  seeall = function() end,
})

function core.display(value)
  if type(value) == "number" then return core.number_text(value) end
  return tostring(value)
end
base.tostring = core.display

-- A finaliser would run during a later call, with that call's grants.
function base.setmetatable(target, metatable)
  if type(metatable) == "table" and rawget(metatable, "__gc") ~= nil then
    error("'__gc' is not available", 2)
  end
  if type(target) ~= "table" or (metatable ~= nil and type(metatable) ~= "table") then
    error("bad argument to 'setmetatable' (table expected)", 2)
  end
  local present = metatable_of(target)
  if present and rawget(present, "__metatable") ~= nil then
    error("cannot change a protected metatable", 2)
  end
  return setmetatable(target, metatable)
end

function base.rawset(target, key, value)
  if core.is_protected(target) then error("attempt to change a read-only library", 2) end
  return rawset(target, key, value)
end

function base.rawget(target, key)
  return rawget(target, key)
end

return base
