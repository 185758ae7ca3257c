-- The part of `os` that the documents have: the clock, and dates in the local zone.
-- The C functions would open the zone file on their first use, which a locked worker cannot.
-- Source: spec/runtime.md 5.2; midnight, not noon, is the default hour.

local core = ...

local type, error, tonumber = type, error, tonumber
local gsub, sub, format, floor, clock = string.gsub, string.sub, string.format, math.floor, os.clock
local zone, layout = core.zone, core.layout

local SECOND = 1000000000
local ABBREVIATIONS = { c = "Mon Jan _2 15:04:05 2006", x = "01/02/06", X = "15:04:05" }
local LAYOUTS = {
  A = "Monday", a = "Mon", B = "January", b = "Jan", d = "02", H = "15", I = "03", m = "01",
  M = "04", p = "PM", S = "05", y = "06", Y = "2006", z = "-0700", Z = "MST",
}

-- ISO 8601: the week that holds the year's first Thursday is week 1.
local function week(t)
  local from_monday = (t.weekday + 6) % 7
  local number = (t.year_day - 1 - from_monday + 10) // 7
  if number < 1 then
    local last = zone.days(t.year, 1, 1) - zone.days(t.year - 1, 1, 1)
    return (last + t.year_day - 1 - from_monday + 10) // 7
  end
  local length = zone.is_leap(t.year) and 366 or 365
  if number == 53 and length - t.year_day < 3 - from_monday then return 1 end
  return number
end

local function directive(t, letter)
  local text_layout = ABBREVIATIONS[letter] or LAYOUTS[letter]
  if text_layout then return layout.format(text_layout, t) end
  if letter == "j" then return format("%03d", t.year_day) end
  if letter == "U" or letter == "W" then return format("%02d", week(t)) end
  if letter == "w" then return format("%d", t.weekday) end
  if letter == "%" then return "%" end
  return "%" .. letter
end

local system = { platform = "wippy", clock = clock }

function system.difftime(later, earlier)
  return core.check_integer(later, 1, "difftime") - core.check_integer(earlier or 0, 2, "difftime") + 0.0
end

local function field(fields, name, default)
  local value = fields[name]
  if value == nil then
    if not default then error("field '" .. name .. "' missing in date table", 3) end
    return default
  end
  local number = tonumber(value)
  if not number or number ~= floor(number) then error("field '" .. name .. "' is not an integer", 3) end
  return floor(number)
end

function system.time(fields)
  if fields == nil then return core.now() // SECOND end
  core.check_table(fields, 1, "time")
  local year, month, day = field(fields, "year"), field(fields, "month"), field(fields, "day")
  local hour, minute, second = field(fields, "hour", 0), field(fields, "min", 0), field(fields, "sec", 0)
  return zone.instant(zone.here, year, month, day, hour, minute, second)
end

function system.date(text, at)
  text = text == nil and "%c" or core.check_string(text, 1, "date")
  at = at == nil and core.now() // SECOND or core.check_integer(at, 2, "date")
  local where = zone.here
  if sub(text, 1, 1) == "!" then where, text = zone.utc, sub(text, 2) end
  local t = zone.civil(where, at)
  t.nanosecond = 0
  if sub(text, 1, 2) == "*t" then
    return {
      year = t.year, month = t.month, day = t.day, hour = t.hour, min = t.minute, sec = t.second,
      wday = t.weekday + 1, yday = t.year_day, isdst = false,
    }
  end
  return (gsub(text, "%%(.)", function(letter) return directive(t, letter) end))
end

return system
