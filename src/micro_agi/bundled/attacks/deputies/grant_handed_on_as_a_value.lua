-- reason: an importer may pass on what it has: that is its own act
-- run: tools app
-- reaches: http_client.get
-- expect: value: "canary: a host function ran"
--@ unit lib
return { use = function(client) return (client.get("http://x/")) end }
--@ unit app modules=http_client imports=lib:lib
return function() return lib.use(http_client) end
