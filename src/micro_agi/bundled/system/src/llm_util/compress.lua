-- Shorten texts with a model: directly, or in chunks when they are beyond its window.

local models = require("llm")

local MIN_TARGET, MAX_EXPANSION = 50, 10
local config = { default_temperature = 0.2, chunk_overlap_chars = 200, max_refinement_attempts = 2 }

local compress = {}

function compress.to_size(model, content, target, options)
    options = options or {}
    return models.compress(model, content, target, {
        temperature = options.temperature or config.default_temperature,
        chunk_overlap = options.chunk_overlap or config.chunk_overlap_chars,
        max_attempts = options.max_attempts or config.max_refinement_attempts,
        skip_refinement = options.skip_refinement,
    })
end

function compress.get_stats(model, content, target)
    return models.measure(model, content, target)
end

function compress.can_compress(model, content, target)
    local stats, err = models.measure(model, content, target)
    if err then return false, err end
    if not stats.needs_compression then
        if target > stats.content_chars * MAX_EXPANSION then
            return false, "target is more than " .. MAX_EXPANSION .. " times the content"
        end
        return true
    end
    if target < MIN_TARGET then
        return false, "Target size " .. target .. " is too small (minimum: " .. MIN_TARGET .. " characters)"
    end
    if target > stats.max_output_chars then return false, "exceeds model output limit" end
    return true
end

-- Of this call only: nothing lasts from one call to the next.
function compress.configure(values)
    for name in pairs(config) do
        if values[name] ~= nil then config[name] = values[name] end
    end
    return compress
end

function compress.get_config()
    local copy = {}
    for name, value in pairs(config) do copy[name] = value end
    return copy
end

return compress
