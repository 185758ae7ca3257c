-- reason: the trusted host function must not be reachable
-- run: tool
-- expect: value: false
return function() return host ~= nil or core ~= nil or settings ~= nil or units ~= nil end
