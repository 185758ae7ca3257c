-- reason: spec/sandbox.md 2.3
-- run: tool
-- expect: error: read-only library
return function() rawset(table, "insert", print) end
