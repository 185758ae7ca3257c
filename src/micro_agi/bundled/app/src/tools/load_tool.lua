-- Checks that the entry is a tool. The loading itself is the session's work: it sees the
-- result, because this entry declares `meta.effect: load_tool`.
local registry = require("registry")

local function handler(input)
    local entry, err = registry.get(input.id)
    if err then
        return nil, err
    end
    if entry.meta.type ~= "tool" then
        return { error = "not a tool (meta.type != 'tool'): " .. input.id }
    end
    return {
        loaded = true,
        id = entry.id,
        alias = entry.meta.llm_alias or input.id,
        description = entry.meta.llm_description or "",
    }
end

return { handler = handler }
