-- source: the encoder must read raw
-- expect: value: {"a": 1}
-- modules: 
return function() return setmetatable({ a = 1 }, { __pairs = function() error('ran') end }) end
