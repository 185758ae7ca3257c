-- reason: in the metatable of strings, which all tools share
-- run: tools giver
-- expect: error: attempt to index a boolean
--@ unit giver modules=http_client
return function() getmetatable("").gift = http_client end
