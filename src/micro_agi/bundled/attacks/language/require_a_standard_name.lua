-- reason: package.loaded is searched before anything else in stock Lua
-- run: tool
-- expect: error: module 'package' not found
return function() return require("package") end
