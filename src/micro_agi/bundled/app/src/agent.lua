-- The terminal agent is part of the runtime. `micro-agi run agent` sees the command name
-- `agent` on this entry and starts it, so this function runs only where some other host
-- executes the entry as a process of its own.
local io = require("io")

local function main()
    io.eprint("start the agent with: micro-agi run agent")
    return 2
end

return { main = main }
