-- reason: a call with a grant that dies in the middle: the next has none of it
-- run: tools giver taker
-- expect: error: nil value
--@ unit giver modules=http_client
return function() keep = http_client error("dies") end
--@ unit taker
return function() return keep.get("http://x/") end
