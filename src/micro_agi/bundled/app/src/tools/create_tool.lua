-- The first look at the policy is here, where a reader of this app sees it. It is not the
-- one that counts: the gate asks again, and so does the registry at the write.
local funcs = require("funcs")
local security = require("security")

local NAMESPACE = "app.generated"
local GROUP = "app:agent_security"

local function refusal(name)
    local scope, err = security.named_scope(GROUP)
    if err then
        return "no security scope: " .. tostring(err)
    end
    local actor = security.actor() or security.new_actor("agent:unknown")
    local id = NAMESPACE .. ":" .. tostring(name)
    if scope:evaluate(actor, "registry.create", id) == "deny" then
        return "policy denied: registry.create on " .. id
    end
    return nil
end

local function handler(input)
    local reason = refusal(input.name)
    if reason then
        return { error = reason }
    end
    return funcs.call("system:create_tool", input)
end

return { handler = handler }
