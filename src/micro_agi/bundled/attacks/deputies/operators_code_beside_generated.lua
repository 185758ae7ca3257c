-- reason: code with the operator's modules has a worker of its own in the same session
-- run: tools admin guest
-- expect: value: "nil"
--@ unit admin modules=registry
return function() token = "operator" end
--@ unit guest
return function() return type(token) .. (registry and " and registry" or "") end
