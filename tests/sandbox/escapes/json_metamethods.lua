-- source: json.encode must read raw
-- expect: value: ["[]"]
-- modules: json
return function() return { (json.encode(setmetatable({}, { __index = function() error('ran') end, __len = function() return 9 end }))) } end
