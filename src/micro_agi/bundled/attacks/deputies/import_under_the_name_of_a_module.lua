-- reason: an alias that hides a module must not gain its grant
-- run: tools app
-- expect: value: "mine"
--@ unit lib
return { get = function() return "mine" end }
--@ unit app imports=http_client:lib
return function() return http_client.get("http://x/") end
