-- reason: spec/sandbox.md 2.3: ran during the next call with its grants
-- run: tool
-- expect: error: '__gc' is not available
return function() setmetatable({}, { __gc = function() print('later') end }) end
