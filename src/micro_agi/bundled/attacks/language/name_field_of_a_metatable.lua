-- reason: a table that says it is an error object of the runtime
-- run: tool
-- expect: value: "table"
return function() return type(setmetatable({}, { __name = "error", __metatable = false })) end
