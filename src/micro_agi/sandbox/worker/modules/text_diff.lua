-- Differences and patches by characters, with diff-match-patch (`pure/difference.py`).
-- What is shown and counted is made here. Source: spec/runtime.md 6.8.

local core = ...

local type, rawget, next = type, rawget, next
local sub, pack, unpack, concat, gsub, format = string.sub, string.pack, string.unpack, table.concat, string.gsub, string.format
local valid_utf8, huge = utf8.len, math.huge
local compare, make, apply = core.accelerator("diff_compare"), core.accelerator("patch_make"), core.accelerator("patch_apply")
local fail = core.fail

-- In the order in which they are packed: name, default, smallest, largest, whole number.
-- The matcher has patterns of 32 characters, a margin on both sides; without any margin it
-- loses the text's ends.
local OPTIONS = {
  { "diff_timeout", 1.0, 0, huge },
  { "diff_edit_cost", 4, 0, 1 << 31, true },
  { "match_threshold", 0.5, 0, 1 },
  { "match_distance", 1000, 0, 1 << 31, true },
  { "patch_delete_threshold", 0.5, 0, 1 },
  { "patch_margin", 4, 1, 15, true },
}
local NAMES = { ["-"] = "delete", ["="] = "equal", ["+"] = "insert" }

local methods = {}
local class = core.class("text.Differ", methods)
local diff = {}

function diff.new(options)
  if options ~= nil then core.check_table(options, 1, "new") end
  local packed = {}
  for n, option in next, OPTIONS do
    local name, value, smallest, largest, whole = option[1], option[2], option[3], option[4], option[5]
    local given = options and rawget(options, name)
    if given ~= nil then value = given end
    if type(value) ~= "number" or not (value >= smallest and value <= largest) or (whole and value % 1 ~= 0) then
      return nil, fail("Invalid", format("%s must be a %snumber from %s to %s", name, whole and "whole " or "",
        core.number_text(smallest), core.number_text(largest)))
    end
    packed[n] = whole and pack("<i8", value // 1 | 0) or pack("<d", value)
  end
  return class.make({ options = concat(packed) }), nil
end

local function both_texts(self, old, new, method)
  local state = class.state(self)
  if not state then core.argument_error(1, method, "text.Differ", self, 3) end
  if type(old) ~= "string" then core.argument_error(2, method, "string", old, 3) end
  if type(new) ~= "string" then core.argument_error(3, method, "string", new, 3) end
  local problem
  if not (valid_utf8(old) and valid_utf8(new)) then problem = fail("Invalid", "the texts must be UTF-8") end
  return state, problem
end

local function items(packed, at)
  local list = {}
  while at <= #packed do list[#list + 1], at = unpack("<s4", packed, at) end
  return list
end

function methods.compare(self, old, new)
  local state, problem = both_texts(self, old, new, "compare")
  if problem then return nil, problem end
  local list = items(compare(state.options, old, new), 1)
  for n = 1, #list do
    list[n] = { operation = NAMES[sub(list[n], 1, 1)], text = sub(list[n], 2) }
  end
  return core.as_list(list), nil
end

-- The operations of a list that a guest may have built, read without running its code.
local function each(self, diffs, method)
  class.self(self, method)
  if core.type_of(diffs) ~= "table" then core.argument_error(2, method, "table", diffs, 3) end
  local n = 0
  return function()
    n = n + 1
    local item = rawget(diffs, n)
    if item == nil then return nil end
    local operation, text
    if core.type_of(item) == "table" then operation, text = rawget(item, "operation"), rawget(item, "text") end
    if type(text) ~= "string" then operation, text = "none", "" end
    return operation, text
  end
end

function methods.summarize(self, diffs)
  local sums = { equal = 0, insert = 0, delete = 0 }
  for operation, text in each(self, diffs, "summarize") do
    if sums[operation] then sums[operation] = sums[operation] + #text end
  end
  return { equals = sums.equal, insertions = sums.insert, deletions = sums.delete }
end

local COLOURS = { insert = "\27[32m%s\27[0m", delete = "\27[31m%s\27[0m", equal = "%s" }
local MARKUP = {
  insert = '<ins style="background:#e6ffe6;">%s</ins>',
  delete = '<del style="background:#ffe6e6;">%s</del>',
  equal = "<span>%s</span>",
}
local ENTITIES = { ["<"] = "&lt;", [">"] = "&gt;", ["&"] = "&amp;", ['"'] = "&#34;", ["'"] = "&#39;", ["\n"] = "&para;<br>" }

local function shown(self, diffs, method, forms, entities)
  local out = {}
  for operation, text in each(self, diffs, method) do
    if forms[operation] then
      if entities then text = gsub(text, "[<>&\"'\n]", entities) end
      out[#out + 1] = format(forms[operation], text)
    end
  end
  return concat(out), nil
end

function methods.pretty_text(self, diffs) return shown(self, diffs, "pretty_text", COLOURS) end
function methods.pretty_html(self, diffs) return shown(self, diffs, "pretty_html", MARKUP, ENTITIES) end

function methods.patch_make(self, old, new)
  local state, problem = both_texts(self, old, new, "patch_make")
  if problem then return nil, problem end
  local list = items(make(state.options, old, new), 1)
  for n = 1, #list do list[n] = { text = list[n] } end
  return core.as_list(list), nil
end

-- The text as it came, and false, if the patches cannot be read; with the reason as a third.
function methods.patch_apply(self, patches, text)
  local state = class.self(self, "patch_apply")
  core.check_table(patches, 2, "patch_apply")
  if type(text) ~= "string" then core.argument_error(3, "patch_apply", "string", text) end
  local packed, n = {}, 1
  while rawget(patches, n) ~= nil do
    local patch = rawget(patches, n)
    local written = core.type_of(patch) == "table" and rawget(patch, "text")
    if type(written) ~= "string" or not valid_utf8(written) then
      return text, false, fail("Invalid", "a patch is a table with a text")
    end
    packed[n], n = pack("<s4", written), n + 1
  end
  if not valid_utf8(text) then return text, false, fail("Invalid", "the texts must be UTF-8") end
  local answer = apply(state.options, concat(packed), text)
  local code = sub(answer, 1, 1)
  if code == "E" then return text, false, fail("Invalid", "invalid patch: " .. sub(answer, 2)) end
  return sub(answer, 2), code == "V"
end

return diff
