-- source: spec/runtime.md 5.1
-- expect: error: module 'os' not found
-- modules: 
return function() return require("os") end
