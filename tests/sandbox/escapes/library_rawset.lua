-- source: spec/sandbox.md 2.3
-- expect: error: read-only library
-- modules: 
return function() rawset(table, "insert", print) end
