-- reason: an importer replaces a name that its library looks up when it runs
-- run: tools app
-- expect: value: "own"
--@ unit lib
return { read = function() return json == nil and "own" or "the importer's" end }
--@ unit app modules=json imports=lib:lib
return function() return lib.read() end
