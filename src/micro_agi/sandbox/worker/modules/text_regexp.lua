-- Regular expressions in linear time. RE2 (in `pure/regexp.py`) says where matches are; what
-- becomes of them is made here. Positions that guests see are bytes from 1, both inclusive,
-- so they fit string.sub. Source: spec/runtime.md 6.8.

local core = ...

local type, tonumber = type, tonumber
local sub, unpack, match, find, concat, format = string.sub, string.unpack, string.match, string.find, table.concat, string.format
local check, search = core.accelerator("regexp_check"), core.accelerator("regexp_find")
local fail = core.fail

local methods = {}
local class
class = core.class("text.Regexp", methods, function(object) return class.state(object).pattern end)

local regexp = {}

function regexp.compile(pattern)
  pattern = core.check_string(pattern, 1, "compile")
  local answer = check(pattern)
  if sub(answer, 1, 1) ~= "V" then return nil, fail("Invalid", sub(answer, 2)) end
  local names, at = {}, 2
  while at <= #answer do
    names[#names + 1], at = unpack("<s4", answer, at)
  end
  return class.make({ pattern = pattern, names = names }), nil
end

-- A cursor over at most `most` matches (-1: all): calling it gives the next match, as its
-- first byte from 1, the byte behind its end, and the place of its positions.
local function matches(state, text, most)
  local spans = search(state.pattern, text, format("%d", most))
  local size, at = 8 * (#state.names + 1), 1 - 8 * (#state.names + 1)
  return function()
    at = at + size
    if at > #spans then return nil end
    local first, behind = unpack("<i4i4", spans, at)
    return first + 1, behind + 1, at
  end, spans
end

-- Group `n` of the match at `at`: its text, or nil if it took no part.
local function group(text, spans, at, n)
  local first, behind = unpack("<i4i4", spans, at + 8 * n)
  if first < 0 then return nil end
  return sub(text, first + 1, behind)
end

local function groups(state, text, spans, at)
  local list = {}
  for n = 0, #state.names do list[n + 1] = group(text, spans, at, n) or "" end
  return list
end

-- The state of `self` and the text, which must be there.
local function arguments(self, text, method)
  local state = class.state(self)
  if not state then core.argument_error(1, method, "text.Regexp", self, 3) end
  if type(text) == "string" then return state, text end
  if type(text) == "number" then return state, core.number_text(text) end
  return core.argument_error(2, method, "string", text, 3)
end

function methods.match_string(self, text)
  local state, subject = arguments(self, text, "match_string")
  return matches(state, subject, 1)() ~= nil
end

-- An empty match counts as none here: the documents' runtime cannot tell them apart.
function methods.find_string(self, text)
  local state, subject = arguments(self, text, "find_string")
  local first, behind = matches(state, subject, 1)()
  if not first or first == behind then return nil end
  return sub(subject, first, behind - 1)
end

function methods.find_all_string(self, text)
  local state, subject = arguments(self, text, "find_all_string")
  local list = {}
  for first, behind in matches(state, subject, -1) do list[#list + 1] = sub(subject, first, behind - 1) end
  return core.as_list(list)
end

function methods.find_string_submatch(self, text)
  local state, subject = arguments(self, text, "find_string_submatch")
  local following, spans = matches(state, subject, 1)
  local _, _, at = following()
  return at and groups(state, subject, spans, at) or nil
end

function methods.find_all_string_submatch(self, text)
  local state, subject = arguments(self, text, "find_all_string_submatch")
  local list, following, spans = {}, matches(state, subject, -1)
  for _, _, at in following do list[#list + 1] = groups(state, subject, spans, at) end
  return core.as_list(list)
end

function methods.find_string_index(self, text)
  local state, subject = arguments(self, text, "find_string_index")
  local first, behind = matches(state, subject, 1)()
  return first and { first, behind - 1 } or nil
end

function methods.find_all_string_index(self, text)
  local state, subject = arguments(self, text, "find_all_string_index")
  local list = {}
  for first, behind in matches(state, subject, -1) do list[#list + 1] = { first, behind - 1 } end
  return list[1] and list or nil
end

-- A template as parts: texts, and tables of the groups that may stand in their place.
local function parse_template(state, template)
  local parts, at = {}, 1
  while true do
    local dollar = find(template, "$", at, true)
    if not dollar then break end
    parts[#parts + 1] = sub(template, at, dollar - 1)
    local name = match(template, "^[%w_]+", dollar + 1)
    local length = name and #name
    if not name then
      name = match(template, "^{([%w_]+)}", dollar + 1)
      length = name and #name + 2
    end
    if name then
      local number = match(name, "^%d+$") and (name == "0" or sub(name, 1, 1) ~= "0") and tonumber(name)
      local candidates = {}
      if number then candidates[1] = number <= #state.names and number or nil
      else
        for n = 1, #state.names do
          if state.names[n] == name then candidates[#candidates + 1] = n end
        end
      end
      parts[#parts + 1] = candidates
      at = dollar + 1 + length
    else
      parts[#parts + 1] = "$"
      at = dollar + (sub(template, dollar + 1, dollar + 1) == "$" and 2 or 1)
    end
  end
  parts[#parts + 1] = sub(template, at)
  return parts
end

function methods.replace_all_string(self, text, template)
  local state, subject = arguments(self, text, "replace_all_string")
  local parts = parse_template(state, core.check_string(template, 3, "replace_all_string"))
  local out, done, following, spans = {}, 1, matches(state, subject, -1)
  for first, behind, at in following do
    out[#out + 1] = sub(subject, done, first - 1)
    for n = 1, #parts do
      local part = parts[n]
      if type(part) == "table" then part = part[1] and group(subject, spans, at, part[1]) or "" end
      if part ~= "" then out[#out + 1] = part end
    end
    done = behind
  end
  out[#out + 1] = sub(subject, done)
  return concat(out)
end

function methods.split(self, text, most)
  local state, subject = arguments(self, text, "split")
  most = most == nil and -1 or core.check_integer(most, 3, "split")
  if most == 0 then return core.as_list({}) end
  if subject == "" and state.pattern ~= "" then return { "" } end
  local list, from, to = {}, 1, 1
  for first, behind in matches(state, subject, most < 0 and -1 or most) do
    if most > 0 and #list == most - 1 then break end
    to = first
    -- A match of nothing at the very beginning separates nothing.
    if behind ~= 1 then list[#list + 1] = sub(subject, from, first - 1) end
    from = behind
  end
  if to ~= #subject + 1 then list[#list + 1] = sub(subject, from) end
  return core.as_list(list)
end

function methods.num_subexp(self) return #class.self(self, "num_subexp").names end
function methods.subexp_names(self)
  local names = class.self(self, "subexp_names").names
  local list = { "" }
  for n = 1, #names do list[n + 1] = names[n] end
  return list
end
function methods.string(self) return class.self(self, "string").pattern end

return regexp
