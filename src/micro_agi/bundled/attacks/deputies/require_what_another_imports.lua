-- reason: require finds a unit's own imports only
-- run: tools app
-- expect: error: module 'lib' not found
--@ unit lib
return { secret = "s" }
--@ unit middle imports=lib:lib
return { nothing = true }
--@ unit app imports=middle:middle
return function() return require("lib").secret end
