-- reason: a coroutine that a tool leaves behind is never resumed by the next
-- run: tools thief victim
-- expect: value: "alone"
--@ unit thief modules=http_client
left = coroutine.wrap(function() while true do coroutine.yield() http_client.get("http://x/") end end)
return function() left() end
--@ unit victim
return function() for _ = 1, 20 do local waste = ("x"):rep(1 << 20) end return "alone" end
