-- Split texts into chunks (`pure/splitter.py`, `pure/markdown.py`). Sizes are characters.
-- Source: spec/runtime.md 6.8.

local core = ...

local type, rawget, next = type, rawget, next
local sub, pack, unpack, concat, format = string.sub, string.pack, string.unpack, table.concat, string.format
local valid_utf8 = utf8.len
local recursive, markdown = core.accelerator("split_recursive"), core.accelerator("split_markdown")
local fail = core.fail

local SEPARATORS = { "\n\n", "\n", " ", "" }
local FLAGS = { "code_blocks", "reference_links", "heading_hierarchy", "join_table_rows" }

local methods = {}
local class = core.class("text.Splitter", methods)
local splitter = {}

local function size(options, name, default, smallest)
  local value = rawget(options, name)
  if value == nil then value = default end
  if type(value) ~= "number" or value % 1 ~= 0 or value < smallest or value >= 2 ^ 53 then
    return nil, fail("Invalid", format("%s must be a whole number, %d or more", name, smallest))
  end
  return value // 1 | 0, nil
end

local function separators_of(options)
  local list = rawget(options, "separators")
  if list == nil then list = SEPARATORS end
  if core.type_of(list) ~= "table" or rawget(list, 1) == nil then
    return nil, fail("Invalid", "separators must be a list of strings, at least one")
  end
  local packed, n = {}, 1
  while rawget(list, n) ~= nil do
    local word = rawget(list, n)
    if type(word) ~= "string" or not valid_utf8(word) then
      return nil, fail("Invalid", "separators must be a list of strings, at least one")
    end
    packed[n], n = pack("<s4", word), n + 1
  end
  return concat(packed), nil
end

local function flag(options, name) return rawget(options, name) and "1" or "0" end

local function new(method, options, run, flags)
  if options == nil then options = {} end
  core.check_table(options, 1, method)
  local chunk_size, problem = size(options, "chunk_size", 512, 1)
  if problem then return nil, problem end
  -- The default is for the default size: a smaller chunk has a smaller one.
  local overlap = 100
  if overlap >= chunk_size then overlap = chunk_size // 5 end
  overlap, problem = size(options, "chunk_overlap", overlap, 0)
  if problem then return nil, problem end
  if overlap >= chunk_size then
    return nil, fail("Invalid", format("chunk_overlap (%d) must be smaller than chunk_size (%d)", overlap, chunk_size))
  end
  local separators
  separators, problem = separators_of(options)
  if problem then return nil, problem end
  local chosen = {}
  for n, name in next, flags do chosen[n] = flag(options, name) end
  local facts = { format("%d", chunk_size), format("%d", overlap), concat(chosen), separators }
  return class.make({ run = run, facts = facts }), nil
end

function splitter.recursive(options) return new("recursive", options, recursive, { "keep_separator" }) end
function splitter.markdown(options) return new("markdown", options, markdown, FLAGS) end

local function split(state, text)
  if text == "" then return core.as_list({}), nil end
  if not valid_utf8(text) then return nil, fail("Invalid", "the text must be UTF-8") end
  local facts = state.facts
  local answer = state.run(facts[1], facts[2], facts[3], facts[4], text)
  if sub(answer, 1, 1) ~= "V" then return nil, fail("Invalid", sub(answer, 2)) end
  local list, at = {}, 2
  while at <= #answer do list[#list + 1], at = unpack("<s4", answer, at) end
  return core.as_list(list), nil
end

function methods.split_text(self, text)
  local state = class.self(self, "split_text")
  if type(text) ~= "string" then core.argument_error(2, "split_text", "string", text) end
  return split(state, text)
end

local function copied(metadata)
  local copy = {}
  if core.type_of(metadata) == "table" then
    for key, value in next, metadata do copy[key] = value end
  end
  return copy
end

function methods.split_batch(self, pages)
  local state = class.self(self, "split_batch")
  core.check_table(pages, 2, "split_batch")
  local list, n = {}, 1
  while rawget(pages, n) ~= nil do
    local page = rawget(pages, n)
    local content = core.type_of(page) == "table" and rawget(page, "content")
    if type(content) ~= "string" then
      return nil, fail("Invalid", format("page %d has no content that is a string", n))
    end
    local chunks, problem = split(state, content)
    if problem then return nil, problem end
    for at = 1, #chunks do
      list[#list + 1] = { content = chunks[at], metadata = copied(rawget(page, "metadata")) }
    end
    n = n + 1
  end
  return core.as_list(list), nil
end

return splitter
