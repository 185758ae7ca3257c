-- reason: a guest calls the registry in the session where the operator's code just did
-- run: tools admin guest
-- expect: error: nil value
--@ unit admin modules=registry
return function() return registry ~= nil end
--@ unit guest
return function() return registry.get("app:secret") end
