-- Pages and ranked search come from the runtime, which holds the documentation.
local funcs = require("funcs")

local function handler(input)
    if not input.path and not input.query then
        return { error = "provide either 'path' or 'query'" }
    end
    return funcs.call("system:doc_search", input)
end

return { handler = handler }
