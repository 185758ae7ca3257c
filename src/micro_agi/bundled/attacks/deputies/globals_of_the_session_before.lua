-- reason: the next tool in the same worker reads what was left
-- run: tools thief victim
-- expect: value: "nil"
--@ unit thief
return function() stolen = "x" _G.stolen = "x" end
--@ unit victim
return function() return type(stolen) end
