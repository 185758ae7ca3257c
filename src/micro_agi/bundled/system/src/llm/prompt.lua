-- The conversation builder. A conversation is plain data: a list of messages, which
-- `prompt.new(list)` takes up again. Pure; any tool may import it.
-- Messages of one role after one another become one, unless their metadata differ.

local json = require("json")

local prompt = {
    ROLE = {
        SYSTEM = "system", USER = "user", ASSISTANT = "assistant", DEVELOPER = "developer",
        FUNCTION_CALL = "function_call", FUNCTION_RESULT = "function_result",
        CACHE_MARKER = "cache_marker",
    },
    CONTENT_TYPE = { TEXT = "text", IMAGE = "image", DOCUMENT = "document" },
}

local MERGED = { system = true, user = true, assistant = true, developer = true }
local NOTE = " (see image results below)"

-------------------------------------------------------------------------------------- parts
function prompt.text(text)
    return { type = "text", text = text }
end

function prompt.image(url, mime)
    return { type = "image", source = { type = "url", url = url, mime_type = mime } }
end

function prompt.image_base64(mime, data)
    return { type = "image", source = { type = "base64", mime_type = mime, data = data } }
end

function prompt.document_base64(mime, data)
    return { type = "document", source = { type = "base64", mime_type = mime, data = data } }
end

------------------------------------------------------------------------------------- copies
local function copy(value)
    if type(value) ~= "table" then return value end
    local new = {}
    for key, item in pairs(value) do new[key] = copy(item) end
    return new
end

local function equal(a, b)
    if type(a) ~= "table" or type(b) ~= "table" then return a == b end
    for key, item in pairs(a) do
        if not equal(item, b[key]) then return false end
    end
    for key in pairs(b) do
        if a[key] == nil then return false end
    end
    return true
end

------------------------------------------------------------------------------------ builder
local Builder = {}
Builder.__index = Builder

local function joins(last, role, name, metadata)
    if not last or last.role ~= role or not MERGED[role] then return false end
    if name and name ~= last.name then return false end
    return metadata == nil or next(metadata) == nil or equal(metadata, last.metadata or {})
end

local function join(last, parts)
    local content = copy(last.content)
    if type(content) == "string" then content = { prompt.text(content) } end
    for n, part in ipairs(parts) do
        local end_part = content[#content]
        if n == 1 and part.type == "text" and end_part and end_part.type == "text" then
            end_part.text = end_part.text .. "\n\n" .. part.text
        else
            content[#content + 1] = part
        end
    end
    last.content = content
end

function Builder:add_message(role, parts, name, metadata)
    if not role or type(parts) ~= "table" or #parts == 0 then return self end
    local last = self.messages[#self.messages]
    if joins(last, role, name, metadata) then
        join(last, copy(parts))
    else
        self.messages[#self.messages + 1] = {
            role = role, content = copy(parts), name = name, metadata = copy(metadata),
        }
    end
    return self
end

local function add_text(self, role, text, metadata)
    return self:add_message(role, { prompt.text(text) }, nil, metadata)
end

function Builder:add_system(text, metadata)
    if text == nil or text == "" then return self end
    return add_text(self, "system", text, metadata)
end

function Builder:add_developer(text, metadata)
    if text == nil or text == "" then return self end
    return add_text(self, "developer", text, metadata)
end

function Builder:add_user(text, metadata)
    return add_text(self, "user", text, metadata)
end

function Builder:add_assistant(text, metadata)
    return add_text(self, "assistant", text, metadata)
end

function Builder:add_function_call(name, arguments, id, options)
    if arguments == nil then return self end
    self.messages[#self.messages + 1] = {
        role = "function_call",
        content = {},
        function_call = {
            name = name, arguments = arguments, id = id,
            provider_metadata = options and options.provider_metadata,
        },
    }
    return self
end

function Builder:add_function_result(name, content, id)
    if content == nil or content == false then return self end
    self.messages[#self.messages + 1] = {
        role = "function_result",
        content = { prompt.text(content) },
        name = name,
        function_call_id = id,
    }
    return self
end

function Builder:add_cache_marker(id)
    self.messages[#self.messages + 1] = { role = "cache_marker", marker_id = id or "default" }
    return self
end

------------------------------------------------------------------------------------- reading
local function image_of(item)
    if type(item) ~= "table" then return nil end
    if item.type == "image" and type(item.source) == "table" then return item end
    if type(item.url) == "string" then return prompt.image(item.url, item.mime_type) end
    return nil
end

-- The text of a result, and the images in it.
local function result_of(content)
    local value = content
    if type(content) == "table" and content[1] and content[1].type then value = content[1].text end
    local text = value
    if type(value) == "string" then
        if not value:find('"_images"', 1, true) then return value, {} end
        local decoded = json.decode(value)
        if type(decoded) ~= "table" then return value, {} end
        value = decoded
    else
        value = copy(value)
        text = json.encode(value)
    end
    local images = {}
    for _, item in ipairs(type(value) == "table" and type(value._images) == "table" and value._images or {}) do
        images[#images + 1] = image_of(item)
    end
    if #images == 0 then return text, images end
    value._images = nil
    if type(value.result) == "string" then value.result = value.result .. NOTE end
    return json.encode(value), images
end

-- The messages as they are sent: results as texts, their images behind the run of results.
function Builder:get_messages()
    local messages, images = {}, {}
    local function flush()
        if #images > 0 then messages[#messages + 1] = { role = "user", content = images } end
        images = {}
    end
    for _, message in ipairs(self.messages) do
        if message.role == "function_result" then
            local text, found = result_of(message.content)
            for _, image in ipairs(found) do images[#images + 1] = image end
            messages[#messages + 1] = {
                role = "function_result", name = message.name,
                content = { prompt.text(text) }, function_call_id = message.function_call_id,
            }
        else
            if message.role ~= "function_call" then flush() end
            messages[#messages + 1] = copy(message)
        end
    end
    flush()
    return messages
end

function Builder:build()
    return { messages = self:get_messages() }
end

function Builder:clone()
    return prompt.new(copy(self.messages))
end

function Builder:clear()
    for n = #self.messages, 1, -1 do self.messages[n] = nil end
    return self
end

function prompt.new(messages)
    return setmetatable({ messages = messages or {} }, Builder)
end

function prompt.with_system(text)
    return prompt.new():add_system(text)
end

-- What `step` and `generate` send: a text, a builder, `{messages = …}` or a list.
function prompt.messages_of(value)
    if type(value) ~= "table" then return value end
    if type(value.get_messages) == "function" then return value:get_messages() end
    if type(value.build) == "function" then return value:build().messages end
    return value.messages or value
end

return prompt
