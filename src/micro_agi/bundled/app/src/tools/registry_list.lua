local registry = require("registry")

local DEFAULT_LIMIT = 50

local function criteria(input)
    local filter = {}
    if input.namespace then filter[".ns"] = input.namespace end
    if input.kind then filter[".kind"] = input.kind end
    if input.type then filter["meta.type"] = input.type end
    return filter
end

local function handler(input)
    local entries, err = registry.find(criteria(input))
    if err then
        return nil, err
    end
    table.sort(entries, function(a, b) return a.id < b.id end)

    local limit = input.limit or DEFAULT_LIMIT
    local listed = {}
    for i = 1, math.min(#entries, limit) do
        local entry = entries[i]
        listed[i] = {
            id = entry.id,
            kind = entry.kind,
            type = entry.meta.type,
            about = entry.meta.llm_description or entry.meta.comment or entry.meta.title,
        }
    end
    return { entries = listed, total = #entries }
end

return { handler = handler }
