-- reason: json.encode must read raw
-- run: tool
-- modules: json
-- expect: value: ["[]"]
return function() return { (json.encode(setmetatable({}, { __index = function() error('ran') end, __len = function() return 9 end }))) } end
