-- Instants, durations and locations with the documents' names. Numbers are nanoseconds.
-- Source: spec/runtime.md 6.1; formats and zones are in time_layout and time_zone.

local core = ...

local type, error, tostring, tonumber, next = type, error, tostring, tonumber, next
local format, find, sub, match, gsub, byte = string.format, string.find, string.sub, string.match, string.gsub, string.byte
local floor, number_type, maxinteger, mininteger = math.floor, math.type, math.maxinteger, math.mininteger
local zone, layout, fail = core.zone, core.layout, core.fail

local SECOND = 1000000000
-- From 0001-01-01 to 1970-01-01, in seconds.
local ZERO_SECOND = -62135596800

local UNITS = { ns = 1, us = 1000, ["µs"] = 1000, ["μs"] = 1000, ms = 1000000, s = SECOND, m = 60 * SECOND, h = 3600 * SECOND }

---------------------------------------------------------------------------------- durations
local duration_methods, time_methods, location_methods = {}, {}, {}

-- Nanoseconds without trailing zeros behind the point, as a number of `unit`.
local function in_unit(ns, unit)
  local text = format("%d", ns // unit)
  if ns % unit == 0 then return text end
  local digits = #format("%d", unit) - 1
  return text .. "." .. gsub(format("%0" .. digits .. "d", ns % unit), "0+$", "")
end

local function duration_text(ns)
  if ns == 0 then return "0s" end
  if ns == mininteger then return "-2562047h47m16.854775808s" end
  local sign = ""
  if ns < 0 then sign, ns = "-", -ns end
  if ns < 1000 then return sign .. ns .. "ns" end
  if ns < 1000000 then return sign .. in_unit(ns, 1000) .. "µs" end
  if ns < SECOND then return sign .. in_unit(ns, 1000000) .. "ms" end
  local seconds = in_unit(ns % (60 * SECOND), SECOND) .. "s"
  local minutes = ns // (60 * SECOND)
  if minutes == 0 then return sign .. seconds end
  if minutes < 60 then return sign .. minutes .. "m" .. seconds end
  return sign .. minutes // 60 .. "h" .. minutes % 60 .. "m" .. seconds
end

local Duration = core.class("time.Duration", duration_methods, function(self) return duration_text(core.duration_of(self)) end)
function core.duration_of(value)
  local state = Duration.state(value)
  return state and state.ns
end

local function make_duration(ns) return Duration.make({ ns = ns }) end

local function truncated(ns, unit) return ns >= 0 and ns // unit or -(-ns // unit) end
function duration_methods.nanoseconds(self) return Duration.self(self, "nanoseconds").ns end
function duration_methods.microseconds(self) return truncated(Duration.self(self, "microseconds").ns, 1000) end
function duration_methods.milliseconds(self) return truncated(Duration.self(self, "milliseconds").ns, 1000000) end
function duration_methods.seconds(self) return Duration.self(self, "seconds").ns / SECOND end
function duration_methods.minutes(self) return Duration.self(self, "minutes").ns / (60 * SECOND) end
function duration_methods.hours(self) return Duration.self(self, "hours").ns / (3600 * SECOND) end

-- Nanoseconds of one `number unit` part; nil if they do not fit into 64 bits.
local function part_of(whole, fraction, unit)
  local scale = UNITS[unit]
  local ns = tonumber(whole ~= "" and whole or "0")
  if number_type(ns) ~= "integer" or ns > maxinteger // scale then return nil end
  ns = ns * scale
  if fraction ~= "" then ns = ns + floor(tonumber("0." .. fraction) * scale + 0.0000001) end
  return ns >= 0 and ns or nil
end

local function parse_duration(text)
  local sign, at = match(text, "^([-+]?)()")
  if sub(text, at) == "0" then return 0 end
  if at > #text then return nil end
  local total = 0
  while at <= #text do
    local whole, dot, fraction, unit, stop = match(text, "^(%d*)(%.?)(%d*)([^%d%.]+)()", at)
    if not whole or whole .. fraction == "" or not UNITS[unit] or (dot == "" and fraction ~= "") then return nil end
    local ns = part_of(whole, fraction, unit)
    if not ns or total > maxinteger - ns then return nil end
    total, at = total + ns, stop
  end
  return sign == "-" and -total or total
end

-- Nanoseconds of anything that is accepted as a duration, or nil.
local function nanoseconds(value)
  local kind = number_type(value)
  if kind == "integer" then return value end
  if kind == "float" then return value == value and value > -2 ^ 63 and value < 2 ^ 63 and floor(value) or nil end
  if type(value) == "string" then return parse_duration(value) end
  return core.duration_of(value)
end
core.nanoseconds = nanoseconds

---------------------------------------------------------------------------------- locations
local function location_name(self) return core.location_state(self).zone.name end
local Location = core.class("time.Location", location_methods, function(self) return location_name(self) end)
core.location_state = Location.state
function location_methods.string(self) return Location.self(self, "string").zone.name end

local locations = setmetatable({}, { __mode = "k" })
-- One object for each zone, so that comparing two of the same is true.
local function location_object(its_zone)
  local object = locations[its_zone]
  if not object then
    object = Location.make({ zone = its_zone })
    locations[its_zone] = object
  end
  return object
end

local function zone_argument(value, position, method, default)
  if value == nil then return default end
  local state = Location.state(value)
  if not state then return core.argument_error(position, method, "time.Location", value, 3) end
  return state.zone
end

------------------------------------------------------------------------------------- times
local Time = core.class("time.Time", time_methods, function(self) return core.time_text(self) end)

local function make_time(second, nanosecond, its_zone)
  if nanosecond < 0 or nanosecond >= SECOND then
    second, nanosecond = second + nanosecond // SECOND, nanosecond % SECOND
  end
  return Time.make({ second = second, nanosecond = nanosecond, zone = its_zone })
end

local function civil(state)
  local fields = zone.civil(state.zone, state.second)
  fields.nanosecond = state.nanosecond
  return fields
end

local GO_LAYOUT = "2006-01-02 15:04:05.999999999 -0700 MST"
core.time_state = Time.state
function core.time_text(self) return layout.format(GO_LAYOUT, civil(Time.state(self))) end

local function other_time(value, method)
  local state = Time.state(value)
  if not state then return core.argument_error(1, method, "time.Time", value, 3) end
  return state
end

local function compare(a, b)
  if a.second ~= b.second then return a.second < b.second and -1 or 1 end
  if a.nanosecond ~= b.nanosecond then return a.nanosecond < b.nanosecond and -1 or 1 end
  return 0
end

function time_methods.add(self, duration)
  local state, ns = Time.self(self, "add"), nanoseconds(duration)
  if not ns then core.argument_error(1, "add", "duration", duration) end
  return make_time(state.second + ns // SECOND, state.nanosecond + ns % SECOND, state.zone)
end

function time_methods.sub(self, other)
  local state, from = Time.self(self, "sub"), other_time(other, "sub")
  local seconds = state.second - from.second
  -- Longer than 64 bits of nanoseconds: the longest there is, as Go has it.
  if seconds > 9223372035 then return make_duration(maxinteger) end
  if seconds < -9223372035 then return make_duration(mininteger) end
  return make_duration(seconds * SECOND + state.nanosecond - from.nanosecond)
end

function time_methods.add_date(self, years, months, days)
  local state = Time.self(self, "add_date")
  years, months = core.check_integer(years, 1, "add_date"), core.check_integer(months, 2, "add_date")
  days = core.check_integer(days, 3, "add_date")
  local t = civil(state)
  local second = zone.instant(state.zone, t.year + years, t.month + months, t.day + days, t.hour, t.minute, t.second)
  return make_time(second, state.nanosecond, state.zone)
end

function time_methods.before(self, other) return compare(Time.self(self, "before"), other_time(other, "before")) < 0 end
function time_methods.after(self, other) return compare(Time.self(self, "after"), other_time(other, "after")) > 0 end
function time_methods.equal(self, other) return compare(Time.self(self, "equal"), other_time(other, "equal")) == 0 end

function time_methods.format(self, text)
  local state = Time.self(self, "format")
  return layout.format(core.check_string(text, 1, "format"), civil(state))
end
function time_methods.format_rfc3339(self)
  return layout.format("2006-01-02T15:04:05Z07:00", civil(Time.self(self, "format_rfc3339")))
end

function time_methods.unix(self) return Time.self(self, "unix").second end
function time_methods.unix_nano(self)
  local state = Time.self(self, "unix_nano")
  return state.second * SECOND + state.nanosecond
end

function time_methods.date(self)
  local t = civil(Time.self(self, "date"))
  return t.year, t.month, t.day
end
function time_methods.clock(self)
  local t = civil(Time.self(self, "clock"))
  return t.hour, t.minute, t.second
end
for name in string.gmatch("year month day hour minute second nanosecond weekday year_day", "%S+") do
  time_methods[name] = function(self) return civil(Time.self(self, name))[name] end
end

function time_methods.is_zero(self)
  local state = Time.self(self, "is_zero")
  return state.second == ZERO_SECOND and state.nanosecond == 0
end

local function moved(self, method, its_zone)
  local state = Time.self(self, method)
  return make_time(state.second, state.nanosecond, its_zone)
end
function time_methods.utc(self) return moved(self, "utc", zone.utc) end
function time_methods.in_local(self) return moved(self, "in_local", zone.here) end
function time_methods.in_location(self, location)
  if location == nil then core.argument_error(1, "in_location", "time.Location", location) end
  return moved(self, "in_location", zone_argument(location, 1, "in_location"))
end
function time_methods.location(self) return location_object(Time.self(self, "location").zone) end

-- Nanoseconds since the absolute zero time, modulo `ns`: the sum itself does not fit.
local function beyond(state, ns)
  local seconds = state.second - ZERO_SECOND
  if ns % SECOND == 0 then return seconds % (ns // SECOND) * SECOND + state.nanosecond end
  local rest = seconds % ns
  for _ = 1, 9 do rest = rest * 10 % ns end
  return (rest + state.nanosecond) % ns
end

local function duration_argument(value, method)
  local ns = core.duration_of(value)
  if not ns then core.argument_error(1, method, "time.Duration", value, 3) end
  return ns
end

local function shifted(state, ns) return make_time(state.second, state.nanosecond + ns, state.zone) end

function time_methods.truncate(self, duration)
  local state, ns = Time.self(self, "truncate"), duration_argument(duration, "truncate")
  if ns <= 0 then return self end
  return shifted(state, -beyond(state, ns))
end

function time_methods.round(self, duration)
  local state, ns = Time.self(self, "round"), duration_argument(duration, "round")
  if ns <= 0 then return self end
  local over = beyond(state, ns)
  if over < ns - over then return shifted(state, -over) end
  return shifted(state, ns - over)
end

---------------------------------------------------------------------------------- functions
local time = {
  NANOSECOND = 1, MICROSECOND = 1000, MILLISECOND = 1000000,
  SECOND = SECOND, MINUTE = 60 * SECOND, HOUR = 3600 * SECOND,
  RFC3339 = "2006-01-02T15:04:05Z07:00", RFC3339NANO = "2006-01-02T15:04:05.999999999Z07:00",
  RFC822 = "02 Jan 06 15:04 MST", RFC822Z = "02 Jan 06 15:04 -0700",
  RFC850 = "Monday, 02-Jan-06 15:04:05 MST",
  RFC1123 = "Mon, 02 Jan 2006 15:04:05 MST", RFC1123Z = "Mon, 02 Jan 2006 15:04:05 -0700",
  KITCHEN = "3:04PM", STAMP = "Jan _2 15:04:05", STAMP_MILLI = "Jan _2 15:04:05.000",
  STAMP_MICRO = "Jan _2 15:04:05.000000", STAMP_NANO = "Jan _2 15:04:05.000000000",
  DATE_TIME = "2006-01-02 15:04:05", DATE_ONLY = "2006-01-02", TIME_ONLY = "15:04:05",
}
for n, name in next, layout.MONTHS do time[string.upper(name)] = n end
for n, name in next, layout.WEEKDAYS do time[string.upper(name)] = n - 1 end
time.utc, time.localtz = location_object(zone.utc), location_object(zone.here)

function time.now()
  local ns = core.now()
  return make_time(ns // SECOND, ns % SECOND, zone.here)
end
core.time_now = time.now

function time.date(year, month, day, hour, minute, second, nanosecond, location)
  local fields = { year, month, day, hour, minute, second, nanosecond }
  for n = 1, 7 do fields[n] = core.check_integer(fields[n], n, "date") end
  local its_zone = zone_argument(location, 8, "date", zone.here)
  -- Whole seconds first, so that the zone is looked up at the right moment.
  local carried = fields[6] + fields[7] // SECOND
  local at = zone.instant(its_zone, fields[1], fields[2], fields[3], fields[4], fields[5], carried)
  return make_time(at, fields[7] % SECOND, its_zone)
end

function time.unix(second, nanosecond)
  return make_time(core.check_integer(second, 1, "unix"), core.check_integer(nanosecond, 2, "unix"), zone.here)
end

function time.parse(text_layout, text, location)
  text_layout, text = core.check_string(text_layout, 1, "parse"), core.check_string(text, 2, "parse")
  local its_zone = zone_argument(location, 3, "parse", zone.here)
  local second, nanosecond, found_zone = layout.parse(text_layout, text, its_zone)
  if not second then
    return nil, fail("Invalid", format("cannot parse %q as %q: %s", text, text_layout, nanosecond))
  end
  return make_time(second, nanosecond, found_zone)
end

function time.parse_duration(value)
  local ns = nanoseconds(value)
  if not ns then return nil, fail("Invalid", "invalid duration: " .. core.plain_text(value)) end
  return make_duration(ns), nil
end

function time.load_location(name)
  name = core.check_string(name, 1, "load_location")
  if name == "" then return nil, fail("Invalid", "empty location name") end
  local its_zone, problem = zone.load(name)
  if not its_zone then return nil, problem end
  return location_object(its_zone), nil
end

function time.fixed_zone(name, offset)
  name, offset = core.check_string(name, 1, "fixed_zone"), core.check_integer(offset, 2, "fixed_zone")
  return location_object(zone.fixed(name, offset))
end

for name, waiting in next, core.waiting do time[name] = waiting end

return time
