-- reason: a name that is a table with a __tostring
-- run: tool
-- modules: json
-- expect: error: not found
return function()
  return require(setmetatable({}, { __tostring = function() return "json" end }))
end
