-- Take URLs apart, build and join them, encode and decode their parts. The documents grant a
-- module of this name and do not describe it; this is ours.
--
--   url.parse(text)        -> {scheme, user, password, host, port, path, query, fragment}, nil | nil, err
--                             parts that are absent are nil; port is an integer; path, user,
--                             password and fragment are decoded; query is the raw text
--   url.build(parts)       -> text, nil | nil, err     the inverse; query may be text or a table
--   url.join(base, ref)    -> text, nil | nil, err     RFC 3986 section 5
--   url.encode(text)       -> text                     for a query part: space becomes "+"
--   url.decode(text)       -> text, nil | nil, err
--   url.encode_query(tab)  -> text, nil | nil, err     sorted by name; a list gives one pair each
--   url.decode_query(text) -> table, nil | nil, err    the value is text, or a list if repeated

local core = ...

local type, tostring, tonumber, next = type, tostring, tonumber, next
local gsub, match, find, sub, format, byte, char, lower = string.gsub, string.match, string.find, string.sub, string.format, string.byte, string.char, string.lower
local concat, sort, gmatch = table.concat, table.sort, string.gmatch
local fail = core.fail

local function percent(character) return format("%%%02X", byte(character)) end
local function encoded(text, keep) return (gsub(text, "[^%w" .. keep .. "]", percent)) end

local function decoded(text, plus)
  if find(gsub(text, "%%%x%x", ""), "%", 1, true) then
    return nil, fail("Invalid", "invalid URL escape in " .. format("%q", text))
  end
  if plus then text = gsub(text, "+", " ") end
  return (gsub(text, "%%(%x%x)", function(pair) return char(tonumber(pair, 16)) end)), nil
end

local url = {}

function url.encode(text)
  return (gsub(encoded(core.check_string(text, 1, "encode"), "%-_%.~ "), " ", "+"))
end

function url.decode(text)
  return decoded(core.check_string(text, 1, "decode"), true)
end

local function split(text)
  local scheme, rest = match(text, "^(%a[%w+.-]*):(.*)$")
  rest = rest or text
  local before, fragment = match(rest, "^([^#]*)#(.*)$")
  local head, query = match(before or rest, "^([^?]*)%?(.*)$")
  head = head or before or rest
  local authority, path = match(head, "^//([^/]*)(.*)$")
  return { scheme = scheme and lower(scheme), authority = authority, path = path or head, query = query, fragment = fragment }
end

local function unsplit(parts)
  return (parts.scheme and parts.scheme .. ":" or "") .. (parts.authority and "//" .. parts.authority or "")
    .. (parts.path or "") .. (parts.query and "?" .. parts.query or "") .. (parts.fragment and "#" .. parts.fragment or "")
end

local function take_authority(authority, found)
  local credentials, place = match(authority, "^(.*)@([^@]*)$")
  place = place or authority
  if credentials then
    local user, password = match(credentials, "^([^:]*):(.*)$")
    found.user, found.password = user or credentials, password
  end
  local host, port = match(place, "^(%[[^%]]*%]):?(%d*)$")
  if not host then host, port = match(place, "^([^:%[%]]*):?(%d*)$") end
  if not host or tonumber(port ~= "" and port or 0) > 65535 then return false end
  found.host, found.port = lower(host), port ~= "" and tonumber(port) or nil
  return true
end

function url.parse(text)
  text = core.check_string(text, 1, "parse")
  if find(text, "[%c ]") then return nil, fail("Invalid", "a URL holds no spaces or control characters") end
  local parts = split(text)
  local found = { scheme = parts.scheme, query = parts.query, path = parts.path, fragment = parts.fragment }
  if parts.authority and not take_authority(parts.authority, found) then
    return nil, fail("Invalid", "invalid host or port in " .. format("%q", text))
  end
  for _, name in next, { "path", "user", "password", "fragment" } do
    if found[name] then
      local value, problem = decoded(found[name])
      if problem then return nil, problem end
      found[name] = value
    end
  end
  return found, nil
end

local function text_value(value)
  if type(value) == "string" then return value end
  if type(value) == "number" then return core.number_text(value) end
  if type(value) == "boolean" then return tostring(value) end
  return nil
end

local function add_pairs(out, name, value)
  if core.type_of(value) == "table" then
    for i = 1, #value do
      local text = text_value(value[i])
      if not text then return false end
      out[#out + 1] = url.encode(name) .. "=" .. url.encode(text)
    end
    return true
  end
  local text = text_value(value)
  if not text then return false end
  out[#out + 1] = url.encode(name) .. "=" .. url.encode(text)
  return true
end

function url.encode_query(values)
  core.check_table(values, 1, "encode_query")
  local names, out = {}, {}
  for name in next, values do
    if type(name) ~= "string" then return nil, fail("Invalid", "names of a query are strings") end
    names[#names + 1] = name
  end
  sort(names)
  for _, name in next, names do
    if not add_pairs(out, name, values[name]) then
      return nil, fail("Invalid", "`" .. name .. "` is no string, number, boolean or list of them")
    end
  end
  return concat(out, "&"), nil
end

function url.decode_query(text)
  text = gsub(core.check_string(text, 1, "decode_query"), "^%?", "")
  local values = {}
  for pair in gmatch(text, "[^&]+") do
    local name, value = match(pair, "^([^=]*)=?(.*)$")
    local problem
    name, problem = decoded(name, true)
    if problem then return nil, problem end
    value, problem = decoded(value, true)
    if problem then return nil, problem end
    local known = values[name]
    if known == nil then values[name] = value
    elseif type(known) == "table" then known[#known + 1] = value
    else values[name] = { known, value } end
  end
  return values, nil
end

function url.build(parts)
  core.check_table(parts, 1, "build")
  local built = { scheme = parts.scheme }
  if parts.host then
    local user = parts.user and encoded(parts.user, "%-_%.~") .. (parts.password and ":" .. encoded(parts.password, "%-_%.~") or "") .. "@" or ""
    built.authority = user .. parts.host .. (parts.port and ":" .. core.plain_text(parts.port) or "")
  end
  built.path = encoded(parts.path or "", "%-_%.~/:@!$&'()*+,;=")
  if parts.host and built.path ~= "" and sub(built.path, 1, 1) ~= "/" then built.path = "/" .. built.path end
  built.query = parts.query
  if core.type_of(parts.query) == "table" then
    local problem
    built.query, problem = url.encode_query(parts.query)
    if problem then return nil, problem end
  end
  if built.query == "" then built.query = nil end
  built.fragment = parts.fragment and encoded(parts.fragment, "%-_%.~/:@!$&'()*+,;=?") or nil
  return unsplit(built), nil
end

local function without_dots(path)
  local out, trailing = {}, find(path, "/%.?%.?$") ~= nil
  for segment in gmatch(path, "[^/]+") do
    if segment == ".." then out[#out] = nil
    elseif segment ~= "." then out[#out + 1] = segment end
  end
  local text = (sub(path, 1, 1) == "/" and "/" or "") .. concat(out, "/")
  if trailing and sub(text, -1) ~= "/" then text = text .. "/" end
  return text
end

function url.join(base, reference)
  local from, to = split(core.check_string(base, 1, "join")), split(core.check_string(reference, 2, "join"))
  if not from.scheme then return nil, fail("Invalid", "the base is no absolute URL") end
  if to.scheme then return unsplit(to), nil end
  to.scheme = from.scheme
  if to.authority then
    to.path = without_dots(to.path)
    return unsplit(to), nil
  end
  to.authority = from.authority
  if to.path == "" then
    to.path, to.query = from.path, to.query or from.query
  elseif sub(to.path, 1, 1) == "/" then to.path = without_dots(to.path)
  else
    local folder = match(from.path, "^(.*/)") or (from.authority and "/" or "")
    to.path = without_dots(folder .. to.path)
  end
  return unsplit(to), nil
end

return url
