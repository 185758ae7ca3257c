-- Find traits: by id, by name, all of them.

local registry = require("registry")

local TYPE = "agent.trait"
local traits = {}

local function tool_of(item)
    if type(item) == "string" then return { id = item } end
    if type(item) == "table" and item.id then return item end
    return nil
end

local function spec_of(entry)
    local meta, data = entry.meta or {}, entry.data or {}
    local tools = {}
    for _, item in ipairs(data.tools or {}) do tools[#tools + 1] = tool_of(item) end
    return {
        id = entry.id, name = meta.name or "", description = meta.comment or "",
        prompt = data.prompt or "", tools = tools,
        build_func_id = data.build_func_id, prompt_func_id = data.prompt_func_id,
        step_func_id = data.step_func_id, bindings = data.bindings or data.binding,
        tool_wrappers = data.tool_wrappers or data.tool_wrapper, options = data.options or {},
        agent_options = data.agent_options or {}, context = data.context or {},
    }
end

function traits.get_by_id(id)
    if not id then return nil, "Trait ID is required" end
    local entry, err = registry.get(id)
    if not entry then
        return nil, "No trait found with ID: " .. tostring(id) .. ", error: " .. tostring(err)
    end
    if not entry.meta or entry.meta.type ~= TYPE then return nil, "Entry is not a trait: " .. id end
    return spec_of(entry)
end

function traits.get_by_name(name)
    if not name then return nil, "Trait name is required" end
    local found, err = registry.find({ ["meta.type"] = TYPE, ["meta.name"] = name })
    if err then return nil, tostring(err) end
    if #found == 0 then return nil, "No trait found with name: " .. tostring(name) end
    return spec_of(found[1])
end

function traits.get_all()
    local found, err = registry.find({ ["meta.type"] = TYPE })
    if err then return nil, tostring(err) end
    local list = {}
    for n, entry in ipairs(found) do list[n] = spec_of(entry) end
    return list
end

return traits
