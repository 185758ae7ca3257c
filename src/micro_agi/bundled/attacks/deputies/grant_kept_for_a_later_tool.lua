-- reason: a library with a grant hides it where a tool without it looks
-- run: tools giver taker
-- expect: error: nil value
--@ unit giver modules=http_client
return function() rawset(_G, "gift", http_client) end
--@ unit taker
return function() return gift.get("http://x/") end
