local registry = require("registry")

local function handler(input)
    local entry, err = registry.get(input.id)
    if err then
        return nil, err
    end
    return { id = entry.id, kind = entry.kind, meta = entry.meta, data = entry.data }
end

return { handler = handler }
