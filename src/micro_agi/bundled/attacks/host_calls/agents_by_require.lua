-- reason: issue 4.10: code without the grant gets neither models nor agents
-- run: tool
-- expect: error: module 'agents' not found
return function() return require("agents").new({}) end
