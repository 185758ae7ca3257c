-- Tools as models see them: by id, by namespace, by the name a model knows.

local agents = require("agents")
local registry = require("registry")

local tools = {}

-- Letters, digits and single underscores, words in small letters.
local function sanitize(text)
    local plain = text:gsub("[^%w]", "_"):gsub("%u", function(letter) return "_" .. letter:lower() end)
    return (plain:gsub("_+", "_"):gsub("^_", ""))
end

function tools.sanitize_name(text)
    return sanitize(text:match("([^:]*)$"))
end

function tools.get_tool_name(entry)
    return entry.meta and entry.meta.llm_alias or tools.sanitize_name(entry.id)
end

function tools.get_tool_schema(id)
    return agents.tool(id)
end

function tools.get_tool_schemas(ids)
    local found, errors = {}, {}
    for _, id in ipairs(ids or {}) do
        found[id], errors[id] = agents.tool(id)
    end
    return found, errors
end

function tools.get_tool_schemas_ordered(ids)
    local found, errors = {}, {}
    for _, id in ipairs(ids or {}) do
        local tool, err = agents.tool(id)
        if tool then found[#found + 1] = tool else errors[id] = err end
    end
    return found, errors
end

function tools.get_tools_meta(ids)
    local found, errors = {}, {}
    for _, id in ipairs(ids or {}) do
        local entry, err = registry.get(id)
        if not entry then
            errors[id] = err
        elseif not entry.meta or entry.meta.type ~= "tool" then
            errors[id] = "Invalid tool type: " .. id
        else
            found[id] = entry.meta
        end
    end
    return found, errors
end

local function has_all(given, wanted)
    local there = {}
    for _, tag in ipairs(type(given) == "table" and given or {}) do there[tag] = true end
    for _, tag in ipairs(wanted) do
        if not there[tag] then return false end
    end
    return true
end

function tools.find_tools(filter)
    filter = filter or {}
    local found, err = agents.tools(filter)
    if err then return nil, "Failed to find tools: " .. tostring(err) end
    local list = {}
    for _, tool in ipairs(found) do
        if not filter.tags or has_all(tool.meta.tags, filter.tags) then list[#list + 1] = tool end
    end
    return list
end

function tools.resolve_name_to_id(name, scope)
    if not name or not scope then return nil, "Name and scope IDs are required" end
    local wanted = name:lower()
    for _, id in ipairs(scope) do
        local entry = registry.get(id)
        local known = { id, id:match("([^:]*)$") }
        if entry then
            known[#known + 1] = tools.get_tool_name(entry)
            local own = entry.meta and entry.meta.name
            if own then
                known[#known + 1] = own
                known[#known + 1] = sanitize(own)
            end
        end
        for _, one in ipairs(known) do
            if one:lower() == wanted then return id end
        end
    end
    return nil, "No tool found with name: " .. name .. " in the provided scope"
end

return tools
