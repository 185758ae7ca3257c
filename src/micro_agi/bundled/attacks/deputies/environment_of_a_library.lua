-- reason: the globals of a library are not those of its importer
-- run: tools app
-- expect: value: "nil nil"
--@ unit lib
mine = "library"
return { seen = function() return type(yours) end }
--@ unit app imports=lib:lib
yours = "importer"
return function() return type(mine) .. " " .. lib.seen() end
