-- Civil time and time zones: days and dates, zone files, the rules behind their last entry.
--
-- A zone is a plain table `{ name, offset, abbreviation }` (fixed) or `{ name, file }`. Zone
-- files come from the parent as bytes, because a worker can open nothing; the local one was
-- read before the lock. Format: RFC 8536; rules: POSIX TZ.

local core = ...

local unpack, find, match, sub, byte = string.unpack, string.find, string.match, string.sub, string.byte
local tonumber, sort = tonumber, table.sort

local FOREVER = math.maxinteger
local zone = {}

-- Days since 1970-01-01 of a date; month and day may be out of range.
function zone.days(year, month, day)
  month = month - 1
  year = year + month // 12
  month = month % 12 + 1
  -- Years begin in March here, so that the leap day is the last day of one.
  local y = month <= 2 and year - 1 or year
  local era = y // 400
  local of_era = y - era * 400
  local of_year = (153 * (month + (month > 2 and -3 or 9)) + 2) // 5 + day - 1
  return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
end
local days = zone.days

-- Year, month and day of a number of days since 1970-01-01.
function zone.date(since)
  since = since + 719468
  local era = since // 146097
  local of_era = since - era * 146097
  local year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
  local of_year = of_era - (365 * year + year // 4 - year // 100)
  local shifted = (5 * of_year + 2) // 153
  local day = of_year - (153 * shifted + 2) // 5 + 1
  local month = shifted < 10 and shifted + 3 or shifted - 9
  return year + era * 400 + (month <= 2 and 1 or 0), month, day
end

function zone.is_leap(year) return year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0) end

----------------------------------------------------------------------- POSIX rules, the tail
local function take_name(text, at)
  local name = match(text, "^<([^>]+)>", at)
  if name then return name, at + #name + 2 end
  name = match(text, "^%a+", at)
  return name, at + #(name or "")
end

local function take_offset(text, at)
  local whole, sign, hours, minutes, seconds = match(text, "^(([-+]?)(%d+):?(%d*):?(%d*))", at)
  if not whole then return nil, at end
  local total = tonumber(hours) * 3600 + (tonumber(minutes) or 0) * 60 + (tonumber(seconds) or 0)
  return sign == "-" and -total or total, at + #whole
end

local function take_rule(text, at)
  local month, week, weekday, stop = match(text, "^,M(%d+)%.(%d+)%.(%d+)()", at)
  local rule
  if month then rule = { month = tonumber(month), week = tonumber(week), weekday = tonumber(weekday) }
  else
    local julian, day
    julian, day, stop = match(text, "^,(J?)(%d+)()", at)
    if not day then return nil, at end
    rule = { day = tonumber(day), skips_leap = julian == "J" }
  end
  rule.time = 7200
  if sub(text, stop, stop) == "/" then rule.time, stop = take_offset(text, stop + 1) end
  return rule, stop
end

local function parse_rules(text)
  local name, at = take_name(text, 1)
  local offset
  if not name then return nil end
  offset, at = take_offset(text, at)
  if not offset then return nil end
  local rules = { name = name, offset = -offset }
  if at > #text then return rules end
  rules.summer_name, at = take_name(text, at)
  if sub(text, at, at) ~= "," then
    offset, at = take_offset(text, at)
    rules.summer_offset = offset and -offset
  end
  rules.summer_offset = rules.summer_offset or rules.offset + 3600
  rules.from, at = take_rule(text, at)
  rules.to = take_rule(text, at)
  return rules
end

-- Seconds since 1970, as if in UTC, at which a rule falls in a year.
local function rule_second(rule, year)
  if rule.day then
    local first = days(year, 1, 1)
    if rule.skips_leap then
      local after_february = rule.day >= 60 and zone.is_leap(year)
      return (first + rule.day - 1 + (after_february and 1 or 0)) * 86400 + rule.time
    end
    return (first + rule.day) * 86400 + rule.time
  end
  local first = days(year, rule.month, 1)
  local day = first + (rule.weekday - (first + 4) % 7) % 7 + (rule.week - 1) * 7
  if day >= days(year, rule.month + 1, 1) then day = day - 7 end
  return day * 86400 + rule.time
end

-- Offset, abbreviation and the period in which they hold, at an instant.
local function by_rules(rules, at)
  if not (rules.from and rules.to) then return rules.offset, rules.name, -FOREVER, FOREVER end
  local year = zone.date((at + rules.offset) // 86400)
  local before, changes = -FOREVER, {}
  for y = year - 1, year + 1 do
    changes[#changes + 1] = { rule_second(rules.from, y) - rules.offset, true }
    changes[#changes + 1] = { rule_second(rules.to, y) - rules.summer_offset, false }
  end
  sort(changes, function(a, b) return a[1] < b[1] end)
  local summer, ends = false, FOREVER
  for i = 1, #changes do
    if changes[i][1] <= at then before, summer = changes[i][1], changes[i][2]
    else
      ends = changes[i][1]
      break
    end
  end
  if summer then return rules.summer_offset, rules.summer_name, before, ends end
  return rules.offset, rules.name, before, ends
end

------------------------------------------------------------------------------- zone files
local HEADER = ">c4Bc15I4I4I4I4I4I4"

local function block_bytes(time_bytes, isut, isstd, leap, times, types, chars)
  return times * time_bytes + times + types * 6 + chars + leap * (time_bytes + 4) + isstd + isut
end

-- Read the 64-bit block of a zone file; nil if it is none.
function zone.parse(bytes)
  if sub(bytes, 1, 4) ~= "TZif" or #bytes < 44 then return nil end
  local _, version, _, isut, isstd, leap, times, types, chars, at = unpack(HEADER, bytes)
  if version < 50 then return nil end
  at = at + block_bytes(4, isut, isstd, leap, times, types, chars)
  _, _, _, isut, isstd, leap, times, types, chars, at = unpack(HEADER, bytes, at)
  local file = { times = {}, kinds = {}, types = {} }
  local kinds_at = at + times * 8
  local types_at = kinds_at + times
  local names_at = types_at + types * 6
  for i = 1, times do
    file.times[i] = unpack(">i8", bytes, at + (i - 1) * 8)
    file.kinds[i] = byte(bytes, kinds_at + i - 1) + 1
  end
  for i = 1, types do
    local offset, summer, name = unpack(">i4BB", bytes, types_at + (i - 1) * 6)
    file.types[i] = { offset, (unpack("z", bytes, names_at + name)), summer == 1 }
  end
  local tail = match(bytes, "^\n([^\n]*)\n", at + block_bytes(8, isut, isstd, leap, times, types, chars))
  file.rules = tail and tail ~= "" and parse_rules(tail) or nil
  return file
end

-- Before the first change: the first type that is no summer time.
local function first_type(file)
  for i = 1, #file.types do
    if not file.types[i][3] then return file.types[i] end
  end
  return file.types[1]
end

local function by_file(file, at)
  local times = file.times
  local low, high = 1, #times + 1 -- the first change after `at`
  while low < high do
    local middle = (low + high) // 2
    if times[middle] > at then high = middle else low = middle + 1 end
  end
  if low > #times and file.rules then
    local offset, name, from, to = by_rules(file.rules, at)
    return offset, name, from, to
  end
  local kind = low == 1 and first_type(file) or file.types[file.kinds[low - 1]]
  return kind[1], kind[2], times[low - 1] or -FOREVER, times[low] or FOREVER
end

-- Offset in seconds east of UTC, abbreviation, and the period for which they hold.
function zone.lookup(where, at)
  if where.file then return by_file(where.file, at) end
  return where.offset, where.abbreviation, -FOREVER, FOREVER
end
local lookup = zone.lookup

-- Offset of an abbreviation that the zone uses, or nil.
function zone.offset_of(where, abbreviation)
  if not where.file then return where.abbreviation == abbreviation and where.offset or nil end
  for i = 1, #where.file.types do
    if where.file.types[i][2] == abbreviation then return where.file.types[i][1] end
  end
  return nil
end

-- Seconds since 1970 of a civil time in a zone; every field may be out of range.
function zone.instant(where, year, month, day, hour, minute, second)
  local as_utc = days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
  local offset, _, from, to = lookup(where, as_utc)
  if offset ~= 0 then
    local guess = as_utc - offset
    if guess < from or guess >= to then offset = lookup(where, guess) end
  end
  return as_utc - offset
end

-- The civil fields of an instant in a zone.
function zone.civil(where, at)
  local offset, abbreviation = lookup(where, at)
  local there = at + offset
  local day_number = there // 86400
  local second_of_day = there - day_number * 86400
  local year, month, day = zone.date(day_number)
  return {
    year = year, month = month, day = day,
    hour = second_of_day // 3600, minute = second_of_day // 60 % 60, second = second_of_day % 60,
    weekday = (day_number + 4) % 7, year_day = day_number - days(year, 1, 1) + 1,
    offset = offset, abbreviation = abbreviation,
  }
end

function zone.fixed(name, offset)
  return { name = name, offset = offset, abbreviation = name }
end

zone.utc = zone.fixed("UTC", 0)
local own_file = zone.parse(core.settings.local_zone)
zone.here = own_file and { name = "Local", file = own_file } or { name = "Local", offset = 0, abbreviation = "UTC" }

local loaded = {}

-- A zone by its name, through the parent: the zone, or nil and an error.
function zone.load(name)
  if name == "UTC" then return zone.utc end
  if name == "Local" then return zone.here end
  if loaded[name] then return loaded[name] end
  local bytes, problem = core.host("time.zone", name)
  if problem then return nil, problem end
  local file = zone.parse(bytes)
  if not file then return nil, core.fail("NotFound", "unknown time zone " .. name) end
  loaded[name] = { name = name, file = file }
  return loaded[name]
end

return zone
