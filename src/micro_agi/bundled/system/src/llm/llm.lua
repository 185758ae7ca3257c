-- Models for an app's code. Every call is a request to the runtime, which asks the policies,
-- holds the keys, tries again where that may help, and records what was used.

local models = require("llm")
local prompt = require("prompt")

local llm = {
    ERROR_TYPE = {
        INVALID_REQUEST = "invalid_request",
        AUTHENTICATION = "authentication_error",
        RATE_LIMIT = "rate_limit_exceeded",
        SERVER_ERROR = "server_error",
        CONTEXT_LENGTH = "context_length_exceeded",
        CONTENT_FILTER = "content_filtered",
        TIMEOUT = "timeout_error",
        MODEL_ERROR = "model_error",
        NETWORK = "network_error",
    },
    FINISH_REASON = {
        STOP = "stop", LENGTH = "length", CONTENT_FILTER = "filtered",
        TOOL_CALL = "tool_call", ERROR = "error", CUT = "cut",
    },
    CAPABILITY = {
        GENERATE = "generate", TOOL_USE = "tool_use", STRUCTURED_OUTPUT = "structured_output",
        EMBED = "embed", THINKING = "thinking", VISION = "vision", CACHING = "caching",
    },
}

function llm.generate(input, options)
    return models.generate(prompt.messages_of(input), options or {})
end

function llm.structured_output(schema, input, options)
    return models.structured_output(schema, prompt.messages_of(input), options or {})
end

function llm.embed(texts, options)
    return models.embed(texts, options or {})
end

function llm.status(options)
    return models.status(options or {})
end

llm.available_models = models.available_models
llm.get_classes = models.get_classes
llm.track_usage = models.track_usage

return llm
