-- reason: an importer whose library has a module gets its answer
-- run: tools app
-- reaches: http_client.get
-- expect: value: "canary: a host function ran"
--@ unit lib modules=http_client
return { fetch = function() return (http_client.get("http://x/")) end }
--@ unit app modules=http_client imports=lib:lib
return function() return lib.fetch() end
