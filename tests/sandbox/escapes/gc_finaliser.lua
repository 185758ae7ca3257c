-- source: spec/sandbox.md 2.3: ran during the next call with its grants
-- expect: error: '__gc' is not available
-- modules: 
return function() setmetatable({}, { __gc = function() print('later') end }) end
