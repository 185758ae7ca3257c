-- reason: in a library all tools share
-- run: tools giver
-- expect: error: read-only library
--@ unit giver modules=http_client
return function() table.move({ http_client }, 1, 1, 1, coroutine) end
