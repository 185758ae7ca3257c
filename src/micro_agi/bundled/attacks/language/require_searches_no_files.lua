-- reason: spec/runtime.md 5.1
-- run: tool
-- expect: error: module 'os' not found
return function() return require("os") end
