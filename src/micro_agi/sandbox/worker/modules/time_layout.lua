-- Format and parse times by example, as the documents' layouts do: "2006-01-02 15:04:05".
-- Works on civil fields (see time_zone.civil) plus nanoseconds. Source: spec/runtime.md 6.1.

local core = ...

local sub, byte, match, find, format, lower, rep, gsub = string.sub, string.byte, string.match, string.find, string.format, string.lower, string.rep, string.gsub
local concat, unpack, tonumber, next = table.concat, table.unpack, tonumber, next
local zone = core.zone

local MONTHS = { "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December" }
local WEEKDAYS = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" }

-- Longest first where one begins with another.
local TOKENS = {
  "January", "Jan", "Monday", "Mon", "MST", "2006", "-070000", "-07:00:00", "-07:00", "-0700", "-07",
  "Z070000", "Z07:00:00", "Z07:00", "Z0700", "Z07", "002", "01", "02", "03", "04", "05", "06",
  "15", "__2", "_2", "PM", "pm", "1", "2", "3", "4", "5",
}
local BY_FIRST = {}
for _, token in next, TOKENS do
  local first = byte(token)
  BY_FIRST[first] = BY_FIRST[first] or {}
  BY_FIRST[first][#BY_FIRST[first] + 1] = token
end

local function token_at(layout, at)
  local first = byte(layout, at)
  for _, token in next, BY_FIRST[first] or {} do
    if sub(layout, at, at + #token - 1) == token then
      -- "Janet" is a name, not a month; "_2006" is an underscore and a year.
      local cut = (token == "Jan" or token == "Mon") and find(layout, "^%l", at + 3)
      if token == "_2" and sub(layout, at, at + 4) == "_2006" then cut = true end
      if not cut then return token end
    end
  end
  local fraction = match(layout, "^[.,]0+", at) or match(layout, "^[.,]9+", at)
  if fraction and not find(layout, "^%d", at + #fraction) then return fraction end
  return nil
end

local cache, cached = {}, 0

-- The pieces of a layout: `{ literal, token }` pairs, the last one perhaps without a token.
local function pieces_of(layout)
  local pieces = cache[layout]
  if pieces then return pieces end
  pieces = {}
  local at, start = 1, 1
  while at <= #layout do
    local token = token_at(layout, at)
    if token then
      pieces[#pieces + 1] = { sub(layout, start, at - 1), token }
      at = at + #token
      start = at
    else at = at + 1 end
  end
  pieces[#pieces + 1] = { sub(layout, start), nil }
  if cached >= 100 then cache, cached = {}, 0 end
  cache[layout], cached = pieces, cached + 1
  return pieces
end

------------------------------------------------------------------------------------ format
local function offset_text(token, offset)
  if offset == 0 and byte(token) == 90 then return "Z" end
  local sign = offset < 0 and "-" or "+"
  local total = offset < 0 and -offset or offset
  local colon = find(token, ":", 1, true) and ":" or ""
  local text = sign .. format("%02d", total // 3600)
  local digits = #gsub(token, "[^%d]", "")
  if digits >= 4 then text = text .. colon .. format("%02d", total // 60 % 60) end
  if digits >= 6 then text = text .. colon .. format("%02d", total % 60) end
  return text
end

local function abbreviation_text(t)
  if t.abbreviation ~= "" then return t.abbreviation end
  return offset_text("-0700", t.offset)
end

local function fraction_text(token, nanosecond)
  local digits = sub(format("%09d", nanosecond), 1, #token - 1)
  if #digits < #token - 1 then digits = digits .. rep("0", #token - 1 - #digits) end
  if byte(token, 2) == 57 then
    digits = gsub(digits, "0+$", "")
    if digits == "" then return "" end
  end
  return sub(token, 1, 1) .. digits
end

local function twelve(hour) return (hour + 11) % 12 + 1 end
local function padded(width, field) return function(t) return format("%0" .. width .. "d", t[field]) end end
local function plain(field) return function(t) return format("%d", t[field]) end end

local WRITERS = {
  ["2006"] = function(t) return format(t.year < 0 and "%05d" or "%04d", t.year) end,
  ["06"] = function(t) return format("%02d", t.year % 100) end,
  January = function(t) return MONTHS[t.month] end,
  Jan = function(t) return sub(MONTHS[t.month], 1, 3) end,
  Monday = function(t) return WEEKDAYS[t.weekday + 1] end,
  Mon = function(t) return sub(WEEKDAYS[t.weekday + 1], 1, 3) end,
  ["01"] = padded(2, "month"), ["1"] = plain("month"),
  ["02"] = padded(2, "day"), ["2"] = plain("day"),
  ["_2"] = function(t) return format("%2d", t.day) end,
  ["__2"] = function(t) return format("%3d", t.year_day) end,
  ["002"] = padded(3, "year_day"),
  ["15"] = padded(2, "hour"),
  ["03"] = function(t) return format("%02d", twelve(t.hour)) end,
  ["3"] = function(t) return format("%d", twelve(t.hour)) end,
  ["04"] = padded(2, "minute"), ["4"] = plain("minute"),
  ["05"] = padded(2, "second"), ["5"] = plain("second"),
  PM = function(t) return t.hour >= 12 and "PM" or "AM" end,
  pm = function(t) return t.hour >= 12 and "pm" or "am" end,
  MST = abbreviation_text,
}

local layout = {}

function layout.format(text, t)
  local out = {}
  for _, piece in next, pieces_of(text) do
    out[#out + 1] = piece[1]
    local token = piece[2]
    if token then
      local first = byte(token)
      if WRITERS[token] then out[#out + 1] = WRITERS[token](t)
      elseif first == 46 or first == 44 then out[#out + 1] = fraction_text(token, t.nanosecond)
      else out[#out + 1] = offset_text(token, t.offset) end
    end
  end
  return concat(out)
end

------------------------------------------------------------------------------------- parse
-- A reader takes the fields found so far, the text and a position; it returns the position
-- behind what it read, or nil and what is wrong.
local function number(field, pattern, low, high)
  return function(found, text, at)
    local digits = match(text, pattern, at)
    if not digits then return nil, "a number is missing" end
    local value = tonumber(digits)
    if value < low or value > high then return nil, field .. " out of range" end
    found[field] = value
    return at + #digits
  end
end

local function name(field, names, length)
  return function(found, text, at)
    for n, full in next, names do
      local wanted = length and sub(full, 1, length) or full
      if lower(sub(text, at, at + #wanted - 1)) == lower(wanted) then
        found[field] = n
        return at + #wanted
      end
    end
    return nil, "a name is missing"
  end
end

local ONE_OR_TWO = "^%d%d?"
local day = number("day", ONE_OR_TWO, 0, 99)

local function half(morning, evening)
  return function(found, text, at)
    local word = sub(text, at, at + 1)
    if word ~= morning and word ~= evening then return nil, morning .. " or " .. evening .. " is missing" end
    found.half = word == evening and "evening" or "morning"
    return at + 2
  end
end

local function take_fraction(found, text, at, digits)
  found.nanosecond = tonumber(sub(digits .. "000000000", 1, 9))
  return at + 1 + #digits
end

local function abbreviation(found, text, at)
  if sub(text, at, at + 2) == "UTC" then
    found.utc = true
    return at + 3
  end
  local shift = match(text, "^GMT([-+]%d%d?)", at)
  if shift then
    found.abbreviation, found.shift = "GMT" .. shift, tonumber(shift) * 3600
    return at + 3 + #shift
  end
  local word = match(text, "^%u%u%u%u?%u?", at) or match(text, "^[-+]%d%d%d?%d?", at)
  if not word or (#word == 5 and sub(word, 5) ~= "T") then return nil, "a zone abbreviation is missing" end
  found.abbreviation = word
  return at + #word
end

local function offset(token)
  local colon = find(token, ":", 1, true) and ":" or ""
  local parts = #gsub(token, "[^%d]", "") // 2
  local pattern = "^([-+])(%d%d)" .. rep(colon .. "(%d%d)", parts - 1)
  return function(found, text, at)
    if byte(token) == 90 and sub(text, at, at) == "Z" then
      found.utc = true
      return at + 1
    end
    local sign, hours, minutes, seconds = match(text, pattern, at)
    if not sign then return nil, "a zone offset is missing" end
    hours, minutes, seconds = tonumber(hours), tonumber(minutes) or 0, tonumber(seconds) or 0
    if hours > 24 or minutes > 59 or seconds > 59 then return nil, "zone offset out of range" end
    found.offset = (hours * 3600 + minutes * 60 + seconds) * (sign == "-" and -1 or 1)
    return at + 1 + parts * 2 + (parts - 1) * #colon
  end
end

local READERS = {
  ["2006"] = number("year", "^%d%d%d%d", 0, 9999),
  ["06"] = function(found, text, at)
    local digits = match(text, "^%d%d", at)
    if not digits then return nil, "a year is missing" end
    found.year = tonumber(digits) + (tonumber(digits) >= 69 and 1900 or 2000)
    return at + 2
  end,
  January = name("month", MONTHS), Jan = name("month", MONTHS, 3),
  Monday = name("weekday", WEEKDAYS), Mon = name("weekday", WEEKDAYS, 3),
  ["01"] = number("month", "^%d%d", 1, 12), ["1"] = number("month", ONE_OR_TWO, 1, 12),
  ["02"] = number("day", "^%d%d", 0, 99), ["2"] = day,
  ["_2"] = function(found, text, at) return day(found, text, sub(text, at, at) == " " and at + 1 or at) end,
  ["002"] = number("year_day", "^%d%d%d", 1, 366),
  ["__2"] = function(found, text, at)
    return number("year_day", "^%d%d?%d?", 1, 366)(found, text, match(text, "^ ?  ?()", at) or at)
  end,
  ["15"] = number("hour", ONE_OR_TWO, 0, 23),
  ["03"] = number("hour12", "^%d%d", 0, 12), ["3"] = number("hour12", ONE_OR_TWO, 0, 12),
  ["04"] = number("minute", "^%d%d", 0, 59), ["4"] = number("minute", ONE_OR_TWO, 0, 59),
  ["05"] = number("second", "^%d%d", 0, 59), ["5"] = number("second", ONE_OR_TWO, 0, 59),
  PM = half("AM", "PM"), pm = half("am", "pm"), MST = abbreviation,
}
for _, token in next, TOKENS do READERS[token] = READERS[token] or offset(token) end

local function read_fraction(token, found, text, at)
  local digits = match(text, "^[.,](%d+)", at)
  if byte(token, 2) == 57 then
    if not digits then return at end
    return take_fraction(found, text, at, digits)
  end
  if not digits or #digits < #token - 1 then return nil, "a fraction of a second is missing" end
  return take_fraction(found, text, at, sub(digits, 1, #token - 1))
end

-- Literal text must be equal; a run of spaces matches any run.
local function skip(literal, text, at)
  local from = 1
  while from <= #literal do
    if byte(literal, from) == 32 then
      if at <= #text and byte(text, at) ~= 32 then return nil, "a space is missing" end
      from, at = match(literal, "^ +()", from), match(text, "^ *()", at)
    else
      if byte(literal, from) ~= byte(text, at) then return nil, "`" .. literal .. "` is missing" end
      from, at = from + 1, at + 1
    end
  end
  return at
end

local function is_fraction(token)
  local first = token and byte(token)
  return first == 46 or first == 44
end

local function read_all(pieces, text, found)
  local at, problem = 1, nil
  for n = 1, #pieces do
    local literal, token = pieces[n][1], pieces[n][2]
    at, problem = skip(literal, text, at)
    if not at then return nil, problem end
    if is_fraction(token) then at, problem = read_fraction(token, found, text, at)
    elseif token then at, problem = READERS[token](found, text, at) end
    if not at then return nil, problem end
    local following = pieces[n + 1] and pieces[n + 1][1] == "" and pieces[n + 1][2]
    if (token == "05" or token == "5") and not is_fraction(following) then
      local digits = match(text, "^[.,](%d+)", at)
      if digits and sub(pieces[n + 1][1], 1, 1) ~= sub(text, at, at) then at = take_fraction(found, text, at, digits) end
    end
  end
  if at <= #text then return nil, "extra text: `" .. sub(text, at) .. "`" end
  return found
end

local function settle(found)
  local hour = found.hour or found.hour12 or 0
  if found.half == "evening" and hour < 12 then hour = hour + 12 end
  if found.half == "morning" and hour == 12 then hour = 0 end
  local year, month, day_of_month = found.year or 0, found.month, found.day
  if found.year_day then
    if found.year_day > (zone.is_leap(year) and 366 or 365) then return nil, "day of the year out of range" end
    local _, m, d = zone.date(zone.days(year, 1, 1) + found.year_day - 1)
    if (month and month ~= m) or (day_of_month and day_of_month ~= d) then return nil, "the day of the year and the date differ" end
    month, day_of_month = m, d
  end
  month, day_of_month = month or 1, day_of_month or 1
  if day_of_month < 1 or day_of_month > zone.days(year, month + 1, 1) - zone.days(year, month, 1) then
    return nil, "day out of range"
  end
  return { year, month, day_of_month, hour, found.minute or 0, found.second or 0 }
end

local function place(found, fields, where)
  local y, mo, d, h, mi, s = unpack(fields)
  if found.utc then return zone.instant(zone.utc, y, mo, d, h, mi, s), zone.utc end
  if found.offset then
    local at = zone.instant(zone.utc, y, mo, d, h, mi, s) - found.offset
    local there, known_as = zone.lookup(where, at)
    if there == found.offset and (not found.abbreviation or found.abbreviation == known_as) then return at, where end
    return at, zone.fixed(found.abbreviation or "", found.offset)
  end
  if found.abbreviation then
    local known = zone.offset_of(where, found.abbreviation)
    local at = zone.instant(zone.utc, y, mo, d, h, mi, s)
    if known then return at - known, where end
    return at - (found.shift or 0), zone.fixed(found.abbreviation, found.shift or 0)
  end
  return zone.instant(where, y, mo, d, h, mi, s), where
end

-- Seconds, nanoseconds and zone of a text; nil and what is wrong if it does not fit.
function layout.parse(text_layout, text, where)
  local found, problem = read_all(pieces_of(text_layout), text, {})
  if not found then return nil, problem end
  local fields
  fields, problem = settle(found)
  if not fields then return nil, problem end
  local at, its_zone = place(found, fields, where)
  return at, found.nanosecond or 0, its_zone
end

layout.MONTHS, layout.WEEKDAYS = MONTHS, WEEKDAYS
return layout
