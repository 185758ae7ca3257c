-- reason: a library must not see modules that only its importer has
-- run: tools app
-- expect: error: nil value
--@ unit lib
return { fetch = function() return http_client.get("http://x/") end }
--@ unit app modules=http_client imports=lib:lib
return function() return lib.fetch() end
