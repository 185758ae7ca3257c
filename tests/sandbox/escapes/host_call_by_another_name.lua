-- source: the trusted host function must not be reachable
-- expect: value: false
-- modules: 
return function() return host ~= nil or core ~= nil or settings ~= nil or units ~= nil end
