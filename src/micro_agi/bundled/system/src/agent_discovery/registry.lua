-- Find agents' definitions: by id, by name, by class.

local registry = require("registry")

local TYPE = "agent.gen1"
local FIELDS = {
    "model", "max_tokens", "temperature", "thinking_effort", "prompt", "memory_contract",
}
local LISTS = { "tools", "traits", "delegates", "memory", "start_prompts" }
local MAPS = { "context", "agent_options" }

local agents = {}

local function spec_of(entry)
    local meta, data = entry.meta or {}, entry.data or {}
    local spec = {
        id = entry.id, name = meta.name or "", title = meta.title or "",
        description = meta.comment or "", meta = meta, security = data.security,
    }
    for _, field in ipairs(FIELDS) do spec[field] = data[field] end
    for _, field in ipairs(LISTS) do spec[field] = data[field] or {} end
    for _, field in ipairs(MAPS) do spec[field] = data[field] or {} end
    return spec
end

function agents.get_by_id(id)
    if not id then return nil, "Agent ID is required" end
    local entry, err = registry.get(id)
    if not entry then
        return nil, "No agent found with ID: " .. tostring(id) .. ", error: " .. tostring(err)
    end
    if not entry.meta or entry.meta.type ~= TYPE then
        return nil, "Entry is not a gen1 agent: " .. id
    end
    return spec_of(entry)
end

function agents.get_by_name(name)
    if not name then return nil, "Agent name is required" end
    local found, err = registry.find({ ["meta.type"] = TYPE, ["meta.name"] = name })
    if err then return nil, tostring(err) end
    if #found == 0 then return nil, "No agent found with name: " .. tostring(name) end
    return spec_of(found[1])
end

local function is_of(entry, class)
    local given = entry.meta and entry.meta.class
    if type(given) ~= "table" then return given == class end
    for _, one in ipairs(given) do
        if one == class then return true end
    end
    return false
end

function agents.list_by_class(class, options)
    if not class or class == "" then return nil, "class_name required" end
    local found, err = registry.find({ ["meta.type"] = TYPE })
    if err then return nil, tostring(err) end
    local list = {}
    for _, entry in ipairs(found) do
        if is_of(entry, class) then
            list[#list + 1] = options and options.raw_entries and entry or spec_of(entry)
        end
    end
    return list
end

return agents
