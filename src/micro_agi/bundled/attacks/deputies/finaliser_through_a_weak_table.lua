-- reason: weak tables tell when things die: nobody else's code runs
-- run: tools thief victim
-- expect: value: "alone"
--@ unit thief modules=http_client
return function() weak = setmetatable({}, { __mode = "kv", __index = function() http_client.get("http://x/") end }) end
--@ unit victim
return function() for _ = 1, 20 do local waste = ("x"):rep(1 << 20) end return "alone" end
