-- reason: the encoder must read raw
-- run: tool
-- expect: value: {"a": 1}
return function() return setmetatable({ a = 1 }, { __pairs = function() error('ran') end }) end
