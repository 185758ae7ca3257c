-- Models' cards: by name, by class, all of them, and the classes.

local models = require("llm")

local discovery = {}

function discovery.get_all()
    return models.available_models()
end

function discovery.get_by_name(name)
    if not name or name == "" then return nil, "Model name is required" end
    local all, err = models.available_models()
    if err then return nil, err end
    for _, card in ipairs(all) do
        if card.name == name then return card end
    end
    return nil, "No model found with name: " .. tostring(name)
end

-- The models of a class, highest priority first.
function discovery.get_by_class(class)
    if not class or class == "" then return nil, "Class name is required" end
    local all, err = models.available_models()
    if err then return nil, err end
    local found = {}
    for _, card in ipairs(all) do
        for _, one in ipairs(card.class) do
            if one == class then found[#found + 1] = card break end
        end
    end
    table.sort(found, function(a, b)
        if a.priority ~= b.priority then return a.priority > b.priority end
        return a.name < b.name
    end)
    return found
end

discovery.get_all_classes = models.get_classes

return discovery
