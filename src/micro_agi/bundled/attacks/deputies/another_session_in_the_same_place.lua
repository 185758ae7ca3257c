-- reason: another person's session never meets this one's worker
-- run: tools thief@one victim@two
-- expect: value: "nil"
--@ unit thief
return function() shared = "secret" math.randomseed(7) end
--@ unit victim
return function() return type(shared) end
