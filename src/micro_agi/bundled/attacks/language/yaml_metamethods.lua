-- reason: yaml.encode must read raw
-- run: tool
-- expect: value: "a: 1\n"
-- modules: yaml
return function() return (yaml.encode(setmetatable({ a = 1 }, { __index = error, __pairs = error, __len = error }))) end
