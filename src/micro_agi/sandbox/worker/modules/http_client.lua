-- HTTP requests. The runtime makes them, within the policies; nothing here reaches a network.
-- Source: spec/runtime.md 6.10.

local core = ...

local type, next, error = type, next, error
local upper, gsub = string.upper, string.gsub
local fail = core.fail

local OPTIONS = { "headers", "query", "cookies", "form", "body", "files", "timeout", "auth", "max_response_body",
  "idempotency_key" }

-- Only string pairs count, as the documents have it; the rest is dropped silently.
local function string_pairs(value)
  if core.type_of(value) ~= "table" then return nil end
  local kept
  for name, text in next, value do
    if type(name) == "string" and type(text) == "string" then
      kept = kept or {}
      kept[name] = text
    end
  end
  return kept
end

local function timeout_seconds(value)
  if type(value) == "number" then return value // 1 end
  local ns = type(value) == "string" and core.nanoseconds(value)
  return ns and ns / 1000000000 or nil
end

local READ = {
  headers = string_pairs, query = string_pairs, cookies = string_pairs, form = string_pairs,
  body = function(value) return type(value) == "string" and value or nil end,
  timeout = timeout_seconds,
  files = function(value) return core.type_of(value) == "table" and value or nil end,
  auth = function(value) return core.type_of(value) == "table" and { user = value.user, pass = value.pass } or nil end,
  idempotency_key = function(value) return (value == true or type(value) == "string") and value or nil end,
  max_response_body = function(value) return type(value) == "number" and value // 1 or nil end,
}

local function read_options(options)
  if core.type_of(options) ~= "table" then return {} end
  if options.stream then return nil, fail("Unavailable", "`stream` is not available yet: read the whole body") end
  for _, name in next, { "unix_socket", "tls", "overlay_network" } do
    if options[name] ~= nil then return nil, fail("Unavailable", "`" .. name .. "` is not available") end
  end
  local read = {}
  for _, name in next, OPTIONS do
    local value = options[name]
    if value ~= nil then read[name] = READ[name](value) end
  end
  return read, nil
end

local function check_url(url, position, method)
  core.check_string(url, position, method)
  if url == "" then error("bad argument #" .. position .. " to '" .. method .. "' (a URL expected)", 3) end
end

local http_client = {}

for name in string.gmatch("get post put delete head patch", "%S+") do
  http_client[name] = function(url, options)
    check_url(url, 1, name)
    local read, problem = read_options(options)
    if not read then return nil, problem end
    return core.host("http_client." .. name, url, read)
  end
end

function http_client.request(method, url, options)
  core.check_string(method, 1, "request")
  check_url(url, 2, "request")
  local read, problem = read_options(options)
  if not read then return nil, problem end
  return core.host("http_client.request", upper(method), url, read)
end

function http_client.request_batch(requests)
  core.check_table(requests, 1, "request_batch")
  if #requests == 0 then error("bad argument #1 to 'request_batch' (at least one request expected)", 2) end
  local list = {}
  for n = 1, #requests do
    local one = core.check_table(requests[n], n, "request_batch")
    if core.type_of(one[3]) == "table" and one[3].stream then
      return nil, fail("Invalid", "`stream` cannot be used in a batch")
    end
    local read, problem = read_options(one[3])
    if not read then return nil, problem end
    list[n] = { upper(core.check_string(one[1], n, "request_batch")), core.check_string(one[2], n, "request_batch"), read }
  end
  local answer, problem = core.host("http_client.request_batch", list)
  if problem then return nil, problem end
  local responses, errors = {}, nil
  for n, one in next, answer do
    if one.error then
      errors = errors or {}
      errors[n] = core.from_parent(one.error)
    else responses[n] = one.response end
  end
  return responses, errors
end

function http_client.encode_uri(text)
  return core.url.encode(core.check_string(text, 1, "encode_uri"))
end

function http_client.decode_uri(text)
  return core.url.decode(core.check_string(text, 1, "decode_uri"))
end

return http_client
