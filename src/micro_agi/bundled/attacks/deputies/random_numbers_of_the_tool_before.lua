-- reason: seed the generator so that the next tool's secrets are known
-- run: tools thief victim
-- expect: value: "unknown"
--@ unit thief
return function() math.randomseed(7, 7) end
--@ unit victim
local first = math.random(1 << 50)
return function()
  math.randomseed(7, 7)
  return first == math.random(1 << 50) and "known" or "unknown"
end
